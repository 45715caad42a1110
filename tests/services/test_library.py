"""What a run's adapter leaves as, and that it comes back as the same."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.errors import EvaluationError
from medqlora.models.model_files import ModelFiles
from medqlora.persistence.workspace import Workspace
from medqlora.services import Services
from tests.waiting import wait_for_end

WEIGHTS = "adapter_model.safetensors"
FILES = {"adapter_config.json", WEIGHTS, "metadata.json", "README.md"}


@pytest.fixture
def run_id(services: Services, qa_file: Path) -> str:
    """A run that is done."""
    card = services.datasets.prepare(qa_file)
    config = QLoRAConfig(
        EMBEDDED_MODEL, rank=4, alpha=8, max_steps=2, max_seq_length=128, learning_rate=1e-3
    )
    run_id = services.training.start(config, card.dataset_id)
    assert wait_for_end(services.training, run_id).state == "succeeded"
    return run_id


def test_an_adapter_leaves_as_a_zip_file_and_comes_back_as_itself(
    services: Services, run_id: str, tmp_path: Path
) -> None:
    run = services.training.directory(run_id)
    services.report.write_card(run)
    file = services.library.export(run, tmp_path)
    with zipfile.ZipFile(file) as archive:
        assert {Path(name).name for name in archive.namelist()} == FILES
        content = b"".join(archive.read(name) for name in archive.namelist()[:1])
    assert json.loads(content)["base_model_name_or_path"] == EMBEDDED_MODEL
    assert str(services.workspace.root).encode() not in content

    back = services.training.directory(services.library.import_adapter(file))
    assert (back.adapter / WEIGHTS).read_bytes() == (run.adapter / WEIGHTS).read_bytes()
    again = services.library.export(back, tmp_path)
    assert services.library.import_adapter(again)


def test_an_imported_adapter_has_a_report_of_what_is_known(
    services: Services, run_id: str, tmp_path: Path
) -> None:
    file = services.library.export(services.training.directory(run_id), tmp_path)
    back = services.training.directory(services.library.import_adapter(file))
    text = services.report.write(back, tmp_path).read_text(encoding="utf-8")
    assert "made elsewhere: what it learned from, and how, is not on record here" in text
    assert "SHA-256 of the adapter" in text
    assert "How to repeat this run" not in text
    assert "Learning rate" not in text


def test_a_merged_model_can_be_the_base_of_another_run(
    services: Services, tiny_workspace: Workspace, run_id: str, qa_file: Path
) -> None:
    phases: list[str] = []
    made = services.library.export_merged(
        services.training.directory(run_id),
        tiny_workspace.models / "merged",
        on_progress=lambda phase, _: phases.append(phase),
    )
    assert made.path.name == run_id
    assert phases == ["Merging model.safetensors"]
    name = f"merged/{run_id}"
    assert name in [one.name for one in services.configuration.models()]
    config = QLoRAConfig(name, rank=4, alpha=8, max_steps=1, max_seq_length=128)
    assert ModelFiles(models_dir=tiny_workspace.models).is_local(name)
    [card] = services.datasets.cards()
    other = services.training.start(config, card.dataset_id)
    assert wait_for_end(services.training, other).state == "succeeded"


def test_a_run_without_an_adapter_has_nothing_to_take_away(
    services: Services, qa_file: Path, tmp_path: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    run = services.training.create(
        QLoRAConfig(EMBEDDED_MODEL), card.dataset_id, path=services.workspace.runs / "a-run"
    )
    for take in (services.library.export, services.library.export_merged):
        with pytest.raises(EvaluationError, match="no adapter yet"):
            take(run, tmp_path / "out")
    with pytest.raises(EvaluationError, match="no adapter yet"):
        services.report.write_card(run)
    assert not (tmp_path / "out").exists()

"""Which models can stand side by side, and that one on another base is refused in a sentence."""

from __future__ import annotations

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.jobs import JobSpec
from medqlora.errors import EvaluationError, ModelError
from medqlora.persistence.workspace import Workspace
from medqlora.runs.run_directory import RunDirectory
from medqlora.services import Services
from medqlora.services.chat_sides import sides_of, two_sides

FIRST, SECOND, FOREIGN = (f"20261122-00000{n}-trained-0000" for n in range(3))


@pytest.fixture
def trained(workspace: Workspace) -> Services:
    """Three runs with adapters, one of them on another base, and a checkpoint of the first."""
    models = {FIRST: EMBEDDED_MODEL, SECOND: EMBEDDED_MODEL, FOREIGN: "other/base"}
    for run_id, model in models.items():
        spec = JobSpec(
            run_id=run_id,
            kind="train",
            name=f"pairs on {model}",
            created_at="2026-11-22T00:00:00+00:00",
            config=QLoRAConfig(model).to_dict(),
            models_dir=str(workspace.models),
            dataset={"name": "pairs"},
        )
        RunDirectory.create(workspace.runs / run_id, spec).adapter.mkdir()
    checkpoint = workspace.runs / FIRST / "checkpoints" / "checkpoint-3"
    checkpoint.mkdir(parents=True)
    (checkpoint / "manifest.json").write_text("{}")
    return Services.open(workspace.root)


def test_base_adapters_and_checkpoints_on_one_base_are_offered(trained: Services) -> None:
    keys = [one.key for one in sides_of(trained.training, FIRST)]
    assert keys == ["base", "tuned", "step:3", f"run:{SECOND}"]


def test_any_two_of_them_are_taken(trained: Services) -> None:
    left, right = two_sides(trained.training, FIRST, "step:3", f"run:{SECOND}")
    assert left.adapter is not None
    assert left.adapter.name == "checkpoint-3"
    assert right.adapter == trained.training.directory(SECOND).adapter


@pytest.mark.parametrize("key", [f"run:{FOREIGN}", "step:9", "run:../../etc", ""])
def test_an_adapter_for_another_base_or_one_that_is_gone_is_refused(
    trained: Services, key: str
) -> None:
    with pytest.raises(ModelError, match="do not share a base model, or one is gone"):
        two_sides(trained.training, FIRST, "base", key)


def test_the_same_twice_is_refused(trained: Services) -> None:
    with pytest.raises(EvaluationError, match="the same model"):
        two_sides(trained.training, FIRST, "tuned", "tuned")

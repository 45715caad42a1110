"""The study report of a run: what is on record is in it, and the run can be repeated from it."""

from __future__ import annotations

import html
import json
import re
import shlex
from pathlib import Path

import pytest

from medqlora.__main__ import main
from medqlora.config.qlora import QLoRAConfig
from medqlora.data.loader import sample_path
from medqlora.domain.events import MemorySampled, PhaseChanged, RunStarted, RunSucceeded, StepLogged
from medqlora.domain.preparing import Choices
from medqlora.errors import PersistenceError
from medqlora.evaluation.checklist import AUTHORS
from medqlora.persistence.workspace import Workspace
from medqlora.runs.event_log import EventLogWriter
from medqlora.runs.run_directory import RunDirectory, recorded_versions
from medqlora.services import Services
from tests.services.reviewing import RUN, pairs, write_evaluation

MODEL = "SmolLM2-135M-Instruct"


def trained(services: Services, source: Path | None, *, phi: str | None = None) -> RunDirectory:
    """A run that has learned for two steps, as its worker would have left it."""
    card = services.datasets.prepare(source, choices=Choices(phi=phi))  # type: ignore[arg-type]
    config = QLoRAConfig(MODEL, rank=8, max_steps=2, seed=7)
    directory = services.training.create(
        config, card.dataset_id, path=services.workspace.runs / RUN
    )
    with EventLogWriter(directory.events, run_id=RUN) as log:
        log.append(RunStarted(job="train"))
        log.append(PhaseChanged(phase="Trained with transformers, because there is no GPU"))
        log.append(MemorySampled(source="ram", used_gib=1.5, limit_gib=8.0))
        for step in (1, 2):
            log.append(
                StepLogged(
                    step=step,
                    total_steps=2,
                    epoch=step / 2,
                    loss=4.0 - step,
                    learning_rate=1e-3,
                    grad_norm=1.0,
                    num_tokens=100,
                    tokens_per_second=10.0,
                    seconds_left=0.0,
                )
            )
        log.append(RunSucceeded(metrics={"train_loss": 2.0}))
    directory.adapter.mkdir()
    (directory.adapter / "adapter_model.safetensors").write_bytes(b"weights")
    return directory


@pytest.fixture
def opened(workspace: Workspace) -> Services:
    return Services.open(workspace.root)


def code(page: str) -> list[str]:
    return [html.unescape(one) for one in re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)]


def test_a_run_alone_is_reported_and_what_was_not_done_is_said(
    opened: Services, tmp_path: Path
) -> None:
    directory = trained(opened, None)
    page = opened.report.write(directory, tmp_path).read_text(encoding="utf-8")
    card = opened.datasets.card(directory.spec().dataset["dataset_id"])
    for fact in (card.sha256, card.source_sha256, "1.50 GiB", "there is no GPU", RUN, "rank)"):
        assert fact in page, fact
    for package, version in recorded_versions().items():
        assert f'<th scope="row">{package}</th><td>{version}</td>' in page
    assert page.count("Not done.") >= 4
    assert "Whether the model got better was not measured." in page
    assert "This is not a medical device." in page
    assert AUTHORS in page
    assert "<polyline" in page


def test_evaluations_and_reviews_are_in_it_and_a_blind_one_stays_blind(
    opened: Services, workspace: Workspace, tmp_path: Path
) -> None:
    directory = trained(opened, None)
    write_evaluation(workspace, pairs(3))
    blind = opened.review.make("20261122-000100-asked-0000", num_items=3, shows_reference=False)
    seed = str(json.loads((workspace.reviews / blind / "review.json").read_text())["seed"])
    page = opened.report.write(directory, tmp_path).read_text(encoding="utf-8")
    assert "3 items answered" in page
    assert "still blind" in page
    assert seed not in page
    seat = opened.rating.join(blind, "AB")
    for position in (1, 2, 3):
        opened.rating.rate(seat, position, choice="both_good", aspects=["clear"], note="")
    opened.review.unblind(blind)
    page = opened.report.write(directory, tmp_path).read_text(encoding="utf-8")
    assert seed in page
    assert "No preference can be claimed with 3 items" in page
    assert "plain words" not in page  # answers of models are not in it


def test_the_adapters_card_says_the_same(opened: Services, tmp_path: Path) -> None:
    directory = trained(opened, None)
    page = opened.report.write(directory, tmp_path).read_text(encoding="utf-8")
    card = (directory.adapter / "README.md").read_text(encoding="utf-8")
    assert card.startswith('---\nlibrary_name: "peft"\n')
    titles = [html.unescape(one) for one in re.findall(r"<h2[^>]*>\d+\. (.*?)</h2>", page)]
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == titles
    assert len(titles) == 15
    for cell in re.findall(r'<th scope="row">.*?</th><td>([0-9a-f]{64})</td>', page):
        assert cell in card


def test_the_sample_is_prepared_alike_by_the_commands_of_the_report(
    opened: Services, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = trained(opened, None)
    page = opened.report.write(directory, tmp_path).read_text(encoding="utf-8")
    settings, commands = code(page)
    assert repeated(directory, settings, commands, "", tmp_path, capsys)


def test_a_file_is_prepared_alike_by_the_commands_of_the_report(
    opened: Services, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "other names.jsonl"
    rows = [json.loads(line) for line in sample_path().read_text("utf-8").splitlines()[:60]]
    text = [json.dumps({"ask": row["question"], "told": row["answer"]}) for row in rows]
    source.write_text("\n".join(text) + "\n", encoding="utf-8")
    mapping = tmp_path / "given.json"
    mapping.write_text(json.dumps({"prompt": ["ask"], "response": "told"}))
    # The first run, too, by a command: its columns were said.
    first = tmp_path / "first" / "run"
    config = tmp_path / "settings.json"
    config.write_text(json.dumps({"max_steps": 2, "rank": 8}))
    queue_run(config, first.parent, ["--data", str(source), "--map-file", str(mapping)], capsys)
    again = Services.open(first.parent / "workspace")
    [summary] = again.training.runs()
    directory = again.training.directory(summary.run_id)
    page = again.report.write(directory, tmp_path).read_text(encoding="utf-8")
    settings, written_mapping, commands = code(page)
    (tmp_path / "mapping.json").write_text(written_mapping)
    assert repeated(directory, settings, commands, str(source), tmp_path, capsys)


def queue_run(config: Path, place: Path, words: list[str], capsys: object) -> None:
    """Prepares and queues a run by the command line; nothing is trained."""
    workspace = ["--workspace", str(place / "workspace"), "--queue", "--json"]
    assert main(["train", "--config", str(config), *words, *workspace]) == 0


def repeated(
    directory: RunDirectory,
    settings: str,
    commands: str,
    source: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> bool:
    """Whether the printed commands ask for the same data and settings in an empty workspace."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "settings.json").write_text(settings)
    words = shlex.split(commands.splitlines()[0])[4:]
    paths = {"settings.json": place / "settings.json", "FILE": source}
    paths["mapping.json"] = tmp_path / "mapping.json"
    given = [str(paths.get(word, word)) for word in words]
    config = given[given.index("--config") + 1]
    rest = [word for word in given if word not in ("--config", config)]
    queue_run(Path(config), place, rest, capsys)
    again = Services.open(place / "workspace")
    [summary] = again.training.runs()
    spec = again.training.spec(summary.run_id)
    first = directory.spec()
    same_files = all(
        (directory.data / name).read_bytes()
        == (again.training.directory(summary.run_id).data / name).read_bytes()
        for name in ("train.jsonl", "eval.jsonl")
    )
    return (
        same_files
        and spec.config == first.config
        and spec.dataset["sha256"] == first.dataset["sha256"]
    )


def test_without_the_dataset_the_run_is_still_reported(
    opened: Services, workspace: Workspace, tmp_path: Path
) -> None:
    directory = trained(opened, None)
    opened.datasets.delete(directory.spec().dataset["dataset_id"])
    page = opened.report.write(directory, tmp_path).read_text(encoding="utf-8")
    assert "is not in this workspace any more" in page
    assert directory.spec().dataset["sha256"] in page


def test_a_damaged_evaluation_is_named_and_the_report_made(
    opened: Services, workspace: Workspace, tmp_path: Path
) -> None:
    directory = trained(opened, None)
    broken = workspace.evaluations / "20261122-000200-broken-0000"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    page = opened.report.write(directory, tmp_path).read_text(encoding="utf-8")
    assert f"Damaged records are not in this report: {broken.name}." in page


def test_a_folder_that_is_no_run_has_no_report(opened: Services, tmp_path: Path) -> None:
    with pytest.raises(PersistenceError, match="not the folder of a run"):
        opened.report.write(RunDirectory(tmp_path), tmp_path)

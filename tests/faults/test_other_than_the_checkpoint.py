"""Versions, settings or data are not those of the checkpoint: shown in words, the user decides."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medqlora.domain.events import RunStarted
from medqlora.errors import CheckpointDiffersError
from medqlora.runs import origins
from medqlora.runs.origins import refuse_differences
from medqlora.services import Services
from tests.faults.runs import CONFIG, events_of, warnings_of
from tests.waiting import wait_for_end, wait_until
from ui.train_tab import Handlers

ROOT = Path(__file__).parents[2]


def resume(services: Services, run_id: str, *options: str) -> tuple[int, dict[str, Any]]:
    place = ["--workspace", str(services.workspace.root), "--json"]
    command = [sys.executable, "-m", "medqlora", "resume", run_id, *place, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_difference_is_shown_in_the_service_on_the_command_line_and_on_the_page(
    services: Services, qa_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = services.training
    card = services.datasets.prepare(qa_file)
    run_id = training.start(CONFIG.changed(max_steps=4000, save_steps=2), card.dataset_id)
    wait_until(lambda: training.snapshot(run_id).checkpoint_step >= 2)
    training.stop(run_id)
    step = wait_for_end(training, run_id).checkpoint_step
    directory = training.directory(run_id)
    refuse_differences(directory)  # nothing differs

    # Packages: as they are now, against others when the checkpoint is from another image.
    now = origins.recorded_versions()
    with monkeypatch.context() as other:
        other.setattr(origins, "recorded_versions", lambda: {**now, "torch": "2.99.0", "trl": "1"})
        with pytest.raises(CheckpointDiffersError) as refused:
            training.resume(run_id)
    assert refused.value.differences == (
        f"torch was {now['torch']} and is 2.99.0",
        f"trl was {now['trl']} and is 1",
    )
    assert f"checkpoint of step {step}" in refused.value.message
    assert "--accept-differences" in refused.value.hint

    # Settings: somebody edited the record of the run.
    record = json.loads((directory.path / "run.json").read_text(encoding="utf-8"))
    asked = record["config"]
    record["config"] = {**asked, "learning_rate": 0.002}
    (directory.path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(CheckpointDiffersError, match=r"learning_rate was 0\.001 and is 0\.002"):
        training.resume(run_id)
    record["config"] = {k: v for k, v in asked.items() if k != "save_minutes"}
    (directory.path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    refuse_differences(directory)  # a setting that is missing has its default

    # Data: a row is gone.
    lines = directory.train_entries.read_text(encoding="utf-8").splitlines(keepends=True)
    directory.train_entries.write_text("".join(lines[1:]), encoding="utf-8")
    code, document = resume(services, run_id)
    assert code == 2
    assert document["error"]["code"] == "checkpoint_differs"
    assert document["error"]["differences"] == ["the data in train.jsonl is other than it was"]
    assert len(events_of(services, run_id, RunStarted)) == 1  # nothing was started

    page = Handlers(services)
    with pytest.raises(CheckpointDiffersError):
        page.resume(run_id, False)
    shown = page.resume(run_id, True)
    assert shown[0] == run_id
    wait_until(lambda: len(events_of(services, run_id, RunStarted)) == 2)
    assert events_of(services, run_id, RunStarted)[-1].resumed_from_step == step
    assert "the data in train.jsonl is other than it was" in warnings_of(services, run_id)
    training.stop(run_id)
    assert wait_for_end(training, run_id).state == "stopped"


def test_without_a_checkpoint_there_is_nothing_to_differ_from(
    services: Services, qa_file: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    path = services.workspace.runs / "20260101-000000-never-begun"
    directory = services.training.create(CONFIG, card.dataset_id, path=path)
    directory.train_entries.write_text("", encoding="utf-8")
    refuse_differences(directory)

"""A run folder that somebody moved, with a checkpoint of another run copied into it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from medqlora.domain.events import RunStarted, StepLogged
from medqlora.runs.run_directory import RunDirectory
from medqlora.services import Services
from tests.faults.runs import CONFIG, weights
from tests.waiting import wait_for_end, wait_for_step

ROOT = Path(__file__).parents[2]


def test_a_moved_run_goes_on_from_its_own_checkpoint_in_another_process_to_the_same_weights(
    services: Services, qa_file: Path, tmp_path: Path
) -> None:
    training = services.training
    card = services.datasets.prepare(qa_file)
    config = CONFIG.changed(max_steps=40, save_steps=5)
    reference = training.start(config, card.dataset_id)
    assert wait_for_end(training, reference).state == "succeeded"
    run_id = training.start(config, card.dataset_id)
    wait_for_step(training, run_id, 6)
    training.stop(run_id)
    stopped_at = wait_for_end(training, run_id).checkpoint_step
    assert 6 <= stopped_at < 40

    folder = training.directory(run_id).path
    foreign = training.directory(reference).checkpoints / "checkpoint-40"
    shutil.copytree(foreign, folder / "checkpoints" / "checkpoint-40")  # whole, but another run's
    moved = RunDirectory(tmp_path / "a new disk" / "my run")
    shutil.move(folder, moved.path)
    workspace = ["--workspace", str(services.workspace.root)]
    resumed = subprocess.run(
        [sys.executable, "-m", "medqlora", "resume", str(moved.path), "--json", *workspace],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert json.loads(resumed.stdout)["state"] == "succeeded"
    events = moved.read_events()
    starts = [one.resumed_from_step for one in events if isinstance(one, RunStarted)]
    assert starts == [0, stopped_at]
    assert [one.step for one in events if isinstance(one, StepLogged)] == list(range(1, 41))
    shutil.move(moved.path, folder)  # and back again: the page has it as before
    assert training.snapshot(run_id).state == "succeeded"
    assert weights(services, run_id) == weights(services, reference)

"""Training in two processes on the CPU, weights in NF4, through the services.

Gradients are averaged by gloo (DDP); a sharded model's layers are gathered by it (FSDP).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import Outcome, PhaseChanged, RunFailed, StepLogged
from medqlora.runs.attempts import open_attempt
from medqlora.runs.process import PROJECT_ROOT, recorded_process
from medqlora.runs.run_directory import RunDirectory
from medqlora.services import Services
from tests.waiting import wait_for_end, wait_for_step, wait_until

CONFIG = QLoRAConfig(
    EMBEDDED_MODEL,
    rank=4,
    alpha=8,
    learning_rate=1e-2,
    max_steps=24,
    save_steps=5,
    max_seq_length=128,
    per_device_train_batch_size=2,
    num_processes=2,
    engine="transformers",
)
LOSS_TOLERANCE = 1e-3
"""Relative; sums of products in bfloat16 come in another order. 0.0003 was seen."""
SECONDS_TO_END = 60.0
"""For all processes once one is killed, on a machine that others use too."""


@pytest.fixture
def dataset_id(services: Services, tmp_path: Path) -> str:
    """Forty entries to learn from, ten steps an epoch."""
    return prepared(services, tmp_path / "pairs.jsonl", num_rows=44, num_train=40)


def prepared(services: Services, path: Path, *, num_rows: int, num_train: int) -> str:
    rows = [
        {
            "question": f"What does lab value {i} mean?",
            "answer": f"Value {i} is {'within' if i % 3 else 'well above'} its usual range.",
        }
        for i in range(num_rows)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    card = services.datasets.prepare(path)
    assert card.num_train == num_train
    return card.dataset_id


def weights(services: Services, run_id: str) -> str:
    file = services.training.directory(run_id).adapter / "adapter_model.safetensors"
    return hashlib.sha256(file.read_bytes()).hexdigest()


def losses(directory: RunDirectory) -> dict[int, float]:
    return {one.step: one.loss for one in directory.read_events() if isinstance(one, StepLogged)}


def workers(services: Services, run_id: str) -> list[psutil.Process]:
    """The launcher and its workers."""
    launcher = recorded_process(services.training.directory(run_id).worker_file)
    assert launcher is not None
    return [launcher, *launcher.children(recursive=True)]


def finished(services: Services, config: QLoRAConfig, dataset_id: str) -> str:
    run_id = services.training.start(config, dataset_id)
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    return run_id


def test_two_processes_learn_what_one_learns_and_a_stop_or_a_kill_changes_nothing(
    services: Services, dataset_id: str
) -> None:
    training = services.training
    reference = finished(services, CONFIG, dataset_id)
    together = losses(training.directory(reference))
    assert list(together) == list(range(1, 25))
    assert together[24] < 0.9 * together[1]

    one_process = CONFIG.changed(num_processes=1, per_device_train_batch_size=4)
    assert one_process.effective_batch_size == CONFIG.effective_batch_size
    alone = losses(training.directory(finished(services, one_process, dataset_id)))
    assert together == pytest.approx(alone, rel=LOSS_TOLERANCE)

    stopped = training.start(CONFIG, dataset_id)
    wait_for_step(training, stopped, 3)
    training.stop(stopped)
    snapshot = wait_for_end(training, stopped)
    assert snapshot.state == "stopped", snapshot.messages
    assert snapshot.last_step is not None
    assert snapshot.checkpoint_step == snapshot.last_step.step < 24
    training.resume(stopped)
    assert wait_for_end(training, stopped).state == "succeeded"
    assert weights(services, stopped) == weights(services, reference)
    assert losses(training.directory(stopped)) == together

    killed = training.start(CONFIG, dataset_id)
    wait_for_step(training, killed, 7)
    processes = workers(services, killed)
    [victim] = [one for one in processes if one.environ().get("RANK") == "1"]
    victim.kill()
    died_at = time.monotonic()
    snapshot = wait_for_end(training, killed)
    assert time.monotonic() - died_at < SECONDS_TO_END
    wait_until(lambda: not any(one.is_running() for one in processes), seconds=SECONDS_TO_END)
    assert isinstance(snapshot.outcome, RunFailed)
    assert snapshot.outcome.code == "killed"
    training.resume(killed)
    assert wait_for_end(training, killed).state == "succeeded"
    assert weights(services, killed) == weights(services, reference)


def test_a_run_with_another_number_of_processes_is_refused(
    services: Services, dataset_id: str, tmp_path: Path
) -> None:
    directory = services.training.create(CONFIG, dataset_id, path=tmp_path / "run")
    open_attempt(directory)
    done = subprocess.run(
        [sys.executable, "-m", "medqlora.runs.worker", str(directory.path)],
        cwd=PROJECT_ROOT,
        check=False,
    )
    assert done.returncode == 1
    [end] = [one for one in directory.read_events() if isinstance(one, Outcome)]
    assert isinstance(end, RunFailed)
    assert end.code == "config_error"
    assert "asked for num_processes 2, and 1 were started" in end.message


@pytest.mark.slow
def test_a_sharded_model_learns_what_a_whole_one_does_and_a_stop_or_a_kill_changes_nothing(
    services: Services, dataset_id: str
) -> None:
    training = services.training
    # What sharding could get in the way of: gradients added up, layers computed twice, dropout.
    whole = CONFIG.changed(
        per_device_train_batch_size=1,
        gradient_accumulation_steps=2,
        gradient_checkpointing=True,
        dropout=0.1,
        max_steps=20,
    )
    sharded = whole.changed(shard_weights="yes")
    reference = finished(services, whole, dataset_id)
    together = losses(training.directory(reference))

    stopped = training.start(sharded, dataset_id)
    wait_for_step(training, stopped, 3)
    training.stop(stopped)
    assert wait_for_end(training, stopped).state == "stopped"
    assert kept_share(training.directory(stopped)) == pytest.approx(0.5, abs=0.01)
    training.resume(stopped)
    assert wait_for_end(training, stopped).state == "succeeded"
    assert losses(training.directory(stopped)) == together
    assert weights(services, stopped) == weights(services, reference)

    killed = training.start(sharded, dataset_id)
    wait_for_step(training, killed, 6)
    processes = workers(services, killed)
    [victim] = [one for one in processes if one.environ().get("RANK") == "1"]
    victim.kill()
    snapshot = wait_for_end(training, killed)
    wait_until(lambda: not any(one.is_running() for one in processes), seconds=SECONDS_TO_END)
    assert isinstance(snapshot.outcome, RunFailed)
    assert snapshot.outcome.code == "killed"
    assert snapshot.can_resume
    training.resume(killed)
    assert wait_for_end(training, killed).state == "succeeded"
    assert weights(services, killed) == weights(services, reference)


def kept_share(directory: RunDirectory) -> float:
    """The part of the layers' weights that each process keeps, as the run has told it."""
    told = [one.phase for one in directory.read_events() if isinstance(one, PhaseChanged)]
    [found] = [
        match for one in told if (match := re.search(r"keeps ([\d,]+) of the ([\d,]+)", one))
    ]
    kept, whole = (int(one.replace(",", "")) for one in found.groups())
    return kept / whole


@pytest.mark.slow
def test_a_sharded_model_learns_what_one_process_learns(
    services: Services, dataset_id: str
) -> None:
    short = CONFIG.changed(max_steps=6)
    sharded = finished(services, short.changed(shard_weights="yes"), dataset_id)
    alone = short.changed(num_processes=1, per_device_train_batch_size=4)
    one_process = losses(services.training.directory(finished(services, alone, dataset_id)))
    together = losses(services.training.directory(sharded))
    assert together == pytest.approx(one_process, rel=LOSS_TOLERANCE)


@pytest.mark.slow
def test_each_entry_is_seen_once_an_epoch_where_they_do_not_come_out_even(
    services: Services, tmp_path: Path
) -> None:
    dataset_id = prepared(services, tmp_path / "odd.jsonl", num_rows=42, num_train=38)
    epoch = CONFIG.changed(max_steps=10)
    alone = epoch.changed(num_processes=1, per_device_train_batch_size=4)
    num_tokens = [
        [
            one.num_tokens
            for one in services.training.directory(run_id).read_events()
            if isinstance(one, StepLogged)
        ][-1]
        for run_id in (finished(services, config, dataset_id) for config in (epoch, alone))
    ]
    num_filled, tokens_of_each = 2, 2
    assert num_tokens[0] == num_tokens[1] + num_filled * tokens_of_each


@pytest.mark.slow
def test_workers_die_with_a_launcher_that_is_killed(services: Services, dataset_id: str) -> None:
    run_id = services.training.start(CONFIG.changed(max_steps=4000), dataset_id)
    wait_for_step(services.training, run_id, 2)
    processes = workers(services, run_id)
    processes[0].kill()
    wait_until(lambda: not any(one.is_running() for one in processes), seconds=SECONDS_TO_END)
    assert wait_for_end(services.training, run_id).state == "failed"


@pytest.mark.slow
def test_two_machines_train_one_run(
    services: Services, dataset_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are this one, each with a launcher of its own, as torchrun's rendezvous sees them."""
    machines = {"PET_NNODES": "2", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": "29417"}
    for name, value in {**machines, "GLOO_SOCKET_IFNAME": "lo"}.items():
        monkeypatch.setenv(name, value)
    run_id = services.training.start(CONFIG, dataset_id)
    directory = services.training.directory(run_id)
    second = subprocess.Popen(
        [sys.executable, "-m", "medqlora.runs.launcher", str(directory.path)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "PET_NODE_RANK": "1"},
    )
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    assert second.wait(timeout=60) == 0
    monkeypatch.undo()
    assert weights(services, run_id) == weights(services, finished(services, CONFIG, dataset_id))

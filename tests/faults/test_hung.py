"""Workers that hang, freeze, compute for long without a word, or leave processes behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import Outcome, RunFailed
from medqlora.persistence.workspace import Workspace
from medqlora.runs import supervisor
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.process import recorded_process
from medqlora.services import Services
from medqlora.services.jobs import JobService
from tests.waiting import wait_for_end, wait_for_step, wait_until

MISBEHAVING = Path(__file__).parent / "misbehaving_worker"
PATIENCE_SECONDS = 4.0
CONFIG = QLoRAConfig(
    EMBEDDED_MODEL, rank=4, alpha=8, max_steps=4000, save_steps=2, max_seq_length=128
)


@pytest.fixture
def services(
    tiny_workspace: Workspace, qa_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Services]:
    monkeypatch.setenv("PYTHONPATH", str(MISBEHAVING))
    monkeypatch.setattr(JobService, "patience_seconds", PATIENCE_SECONDS)
    monkeypatch.setattr(supervisor, "HUNG_GRACE_SECONDS", 1.0)
    services = Services.open(tiny_workspace.root)
    services.datasets.prepare(qa_file)
    yield services
    run_id = services.training.current()
    if run_id:
        worker_of(services, run_id).kill()
        wait_for_end(services.training, run_id)


def dataset(services: Services) -> str:
    [card] = services.datasets.cards()
    return card.dataset_id


def worker_of(services: Services, run_id: str) -> psutil.Process:
    worker = recorded_process(services.training.directory(run_id).worker_file)
    assert worker is not None
    return worker


def ends(services: Services, run_id: str) -> list[Outcome]:
    events = services.training.directory(run_id).read_events()
    return [event for event in events if isinstance(event, Outcome)]


def assert_hung(services: Services, run_id: str) -> RunFailed:
    snapshot = wait_for_end(services.training, run_id)
    assert isinstance(snapshot.outcome, RunFailed)
    assert snapshot.outcome.code == "hung"
    assert "nothing happened for 4 seconds" in snapshot.outcome.message
    assert snapshot.can_resume
    assert len(ends(services, run_id)) == 1
    assert recorded_process(services.training.directory(run_id).worker_file) is None
    GpuLease.acquire(services.workspace.machine_lock, holder="the next").close()
    return snapshot.outcome


def test_a_frozen_worker_is_recognised_ended_and_its_run_goes_on(services: Services) -> None:
    run_id = services.training.start(CONFIG.changed(max_steps=400), dataset(services))
    wait_for_step(services.training, run_id, 3)
    worker_of(services, run_id).suspend()
    outcome = assert_hung(services, run_id)
    assert "from the checkpoint of step" in outcome.hint
    services.training.resume(run_id)
    snapshot = wait_for_step(services.training, run_id, 10)
    steps = [point.x for point in snapshot.traces["loss"]]
    assert steps == sorted(set(steps))
    services.training.stop(run_id)
    assert wait_for_end(services.training, run_id).state == "stopped"


def test_a_gpu_that_answers_no_more_is_recognised_though_a_core_is_busy(
    services: Services,
) -> None:
    run_id = services.training.start(CONFIG, dataset(services))
    wait_for_step(services.training, run_id, 3)
    worker_of(services, run_id).send_signal(signal.SIGUSR1)
    assert "after step" in assert_hung(services, run_id).message


def test_a_file_that_never_answers_is_told_and_then_ended(services: Services) -> None:
    """A mount that hangs: opening a pipe that nobody writes to waits for ever as well."""
    training = services.training
    path = services.workspace.runs / "20261122-000000-hanging-0000"
    directory = training.create(CONFIG, dataset(services), path=path)
    directory.train_entries.unlink()
    os.mkfifo(directory.train_entries)
    watcher = supervisor.RunSupervisor(directory, patience_seconds=PATIENCE_SECONDS)
    watcher.start(GpuLease.acquire(services.workspace.machine_lock, holder=directory.run_id))
    wait_until(lambda: not watcher.is_watching)
    assert "Preparing the data" in assert_hung(services, directory.run_id).message
    texts = [message.text for message in training.snapshot(directory.run_id).messages]
    assert texts[0].startswith("Nothing has happened for 2 seconds.")


def test_computing_for_long_without_a_word_does_not_count_as_hung(services: Services) -> None:
    run_id = services.training.start(CONFIG, dataset(services))
    wait_until(lambda: services.training.snapshot(run_id).phase == "Loading the libraries")
    worker_of(services, run_id).send_signal(signal.SIGUSR2)
    snapshot = wait_for_step(services.training, run_id, 2)
    assert not [one for one in snapshot.messages if "Nothing has happened" in one.text]
    services.training.stop(run_id)
    assert wait_for_end(services.training, run_id).state == "stopped"


def test_what_a_killed_worker_left_running_is_killed_and_the_machine_is_free(
    services: Services,
) -> None:
    run_id = services.training.start(CONFIG, dataset(services))
    wait_for_step(services.training, run_id, 1)
    worker = worker_of(services, run_id)
    worker.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(worker.children()), seconds=20)
    [child] = worker.children()
    worker.kill()
    assert wait_for_end(services.training, run_id).state == "failed"
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, seconds=5)
    GpuLease.acquire(services.workspace.machine_lock, holder="the next").close()


def test_a_server_that_starts_kills_what_a_dead_worker_left_running(services: Services) -> None:
    run_id = services.training.start(CONFIG, dataset(services))
    wait_for_step(services.training, run_id, 1)
    orphan = psutil.Popen(
        ["sleep", "600"],
        env={"MEDQLORA_JOB": str(services.training.directory(run_id).path)},
    )
    stranger = psutil.Popen(["sleep", "600"], env={"MEDQLORA_JOB": "/somewhere/else"})
    directory = services.training.directory(run_id)
    frozen = directory.events.read_bytes()
    worker_of(services, run_id).kill()
    wait_for_end(services.training, run_id)
    orphan.wait(timeout=5)
    # A server that was killed at the same time: neither an end in the log, nor a reaped child.
    directory.events.write_bytes(frozen)
    orphan = psutil.Popen(["sleep", "600"], env={"MEDQLORA_JOB": str(directory.path)})
    restarted = Services.open(services.workspace.root)
    restarted.attach()
    orphan.wait(timeout=5)
    assert restarted.training.snapshot(run_id).state == "failed"
    assert len(ends(restarted, run_id)) == 1
    assert stranger.is_running()
    stranger.kill()
    stranger.wait()

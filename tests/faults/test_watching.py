"""Whoever watches a job sees its end whatever became of its folder, and is let go afterwards."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import RunFailed
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.process import record_process, recorded_process
from medqlora.runs.supervisor import RunSupervisor
from medqlora.services import Services
from tests.mirrored_runs import FakeRun
from tests.waiting import wait_for_end, wait_until

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=4000, max_seq_length=128)


@pytest.fixture
def run_id(services: Services, qa_file: Path) -> str:
    """A run whose worker has just been started."""
    return services.training.start(CONFIG, services.datasets.prepare(qa_file).dataset_id)


@pytest.fixture
def worker(services: Services, run_id: str) -> Iterator[psutil.Process]:
    worker = recorded_process(services.training.directory(run_id).worker_file)
    assert worker is not None
    yield worker
    if worker.is_running():
        worker.kill()


def assert_over(services: Services, run_id: str) -> RunFailed:
    outcome = wait_for_end(services.training, run_id).outcome
    assert isinstance(outcome, RunFailed)
    assert services.training.current() is None
    wait_until(lambda: not services.training.is_watching, seconds=10)
    GpuLease.acquire(services.workspace.machine_lock, holder="the next").close()
    return outcome


def test_a_log_that_is_damaged_while_a_run_goes_on_keeps_nothing_busy(
    services: Services, run_id: str, worker: psutil.Process
) -> None:
    wait_until(lambda: services.training.snapshot(run_id).phase == "Loading the libraries")
    with services.training.directory(run_id).events.open("ab") as log:
        log.write(bytes(range(256)) + b"\n")
    with pytest.raises(psutil.TimeoutExpired):
        worker.wait(timeout=1)  # meanwhile the watcher has read the damage
    assert services.training.is_watching
    worker.kill()
    assert_over(services, run_id)
    services.training.delete(run_id)


def test_a_folder_that_vanishes_with_its_worker_keeps_nothing_busy_and_can_come_back(
    services: Services, run_id: str, worker: psutil.Process, tmp_path: Path
) -> None:
    folder = services.training.directory(run_id).path
    folder.rename(tmp_path / "away")
    worker.kill()
    outcome = assert_over(services, run_id)
    assert outcome.message == "The job's process has ended, and its folder cannot be read."
    (tmp_path / "away").rename(folder)
    assert services.training.snapshot(run_id).can_resume
    server = Services.open(services.workspace.root)
    server.attach()
    server.close()
    assert server.training.snapshot(run_id).state == "failed"


def test_a_kill_in_the_middle_of_deleting_leaves_no_half_of_a_run(services: Services) -> None:
    run = FakeRun.begin(services.workspace)
    run.save(10)
    run.stop(10)
    server = os.fork()
    if server == 0:  # a server that is killed before it has removed the first file
        shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        services.training.delete(run.run_id)
        os._exit(1)
    _, status = os.waitpid(server, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert services.training.runs() == ()
    again = Services.open(services.workspace.root)
    again.training.attach()
    assert not list(services.workspace.runs.iterdir())


def test_who_watched_a_run_that_is_over_is_let_go(services: Services, qa_file: Path) -> None:
    for number in range(3):
        run = FakeRun.begin(services.workspace, f"20261122-101500-pairs-000{number}")
        worker = psutil.Popen(["sleep", "60"])
        record_process(run.directory.worker_file, worker)
        services.training.attach()
        worker.kill()
        wait_for_end(services.training, run.run_id)
    wait_until(lambda: not services.training.is_watching)
    new = services.training.start(CONFIG, services.datasets.prepare(qa_file).dataset_id)
    services.training.stop(new)
    gc.collect()
    watchers = [one for one in gc.get_objects() if type(one) is RunSupervisor]
    folder = services.training.directory(new).path.parent
    left = [one.directory.run_id for one in watchers if one.directory.path.parent == folder]
    assert left == [new]
    states = {one.run_id: one.state for one in services.training.runs()}
    assert [state for run_id, state in states.items() if run_id != new] == ["failed"] * 3
    wait_for_end(services.training, new)

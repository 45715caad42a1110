"""The queue as files: who waits, through kills between any two writes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import psutil
import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import Outcome, RunStarted, RunStopped, RunSucceeded, RunWarned
from medqlora.errors import CheckpointDiffersError, DiskFullError, PersistenceError
from medqlora.persistence.workspace import Workspace
from medqlora.runs.attempts import is_due, open_attempt
from medqlora.runs.process import record_process
from medqlora.runs.run_queue import RunQueue, queue_mark
from medqlora.services import Services
from tests.mirrored_runs import FakeRun
from tests.waiting import wait_until


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return Services.open(tmp_path / "workspace")


def stopped(services: Services, number: int = 1) -> FakeRun:
    run = FakeRun.begin(services.workspace, f"20261122-10150{number}-pairs-000{number}")
    run.save(5)
    run.stop(5)
    return run


def ids(services: Services) -> list[str]:
    return [one.run_id for one in services.training.queued()]


def test_a_stopped_run_is_queued_once_however_often_it_is_asked_for(services: Services) -> None:
    first, second = stopped(services, 2), stopped(services, 1)
    for _ in range(20):
        services.training.enqueue_resume(first.run_id)
        services.training.enqueue_resume(second.run_id)
    assert ids(services) == [first.run_id, second.run_id]
    shown = {one.run_id: one for one in services.training.runs()}[first.run_id]
    assert (shown.state, shown.can_resume, shown.step) == ("waiting", False, 5)
    services.training.remove_from_queue(first.run_id)
    assert ids(services) == [second.run_id]
    assert services.training.snapshot(first.run_id).can_resume  # all of it is still there
    assert first.checkpoints.newest_step() == 5


def test_what_is_done_or_running_is_not_queued(services: Services) -> None:
    done, running = FakeRun.begin(services.workspace, "20261122-1-done"), stopped(services)
    done.succeed()
    running.append(RunStarted(job="train", resumed_from_step=5))
    for one in (done, running):
        with pytest.raises(PersistenceError, match="nothing to resume"):
            services.training.enqueue_resume(one.run_id)
    assert ids(services) == []


@pytest.mark.parametrize("is_over", [False, True])
def test_a_kill_before_the_mark_was_removed_starts_nothing_twice(
    services: Services, is_over: bool
) -> None:
    run = stopped(services)
    services.training.enqueue_resume(run.run_id)
    mark = run.directory.queued.read_bytes()
    run.append(RunStarted(job="train", resumed_from_step=5))
    if is_over:
        run.append(RunSucceeded())
    run.directory.queued.write_bytes(mark)  # as the kill left it
    another = Services.open(services.workspace.root)
    assert another.training.start_next() is None
    run.directory.queued.write_bytes(mark)
    another.training.attach()
    assert ids(another) == []
    turns = [isinstance(one, Outcome) for one in run.directory.read_events() if _is_turn(one)]
    assert turns == [False, True, False, True]


def _is_turn(event: object) -> bool:
    return isinstance(event, RunStarted | Outcome)


def test_an_attempt_takes_the_run_out_and_a_done_run_has_no_further_one(services: Services) -> None:
    run = stopped(services)
    services.training.enqueue_resume(run.run_id, accept_differences=True)
    open_attempt(run.directory)
    assert not run.directory.queued.exists()
    run.append(RunSucceeded())
    with pytest.raises(PersistenceError, match="nothing to resume"):
        open_attempt(run.directory)
    assert isinstance(run.directory.read_events()[-1], RunSucceeded)


def test_what_differs_when_its_turn_comes_is_told_and_keeps_nobody_waiting(
    services: Services,
) -> None:
    run, other = stopped(services, 1), stopped(services, 2)
    services.training.enqueue_resume(run.run_id)
    services.training.enqueue_resume(other.run_id, accept_differences=True)
    run.directory.train_entries.write_text('{"question": "another"}\n')
    other.directory.train_entries.write_text('{"question": "another"}\n')
    assert services.training.start_next() is None
    assert ids(services) == [other.run_id]
    assert services.training.snapshot(run.run_id).state == "stopped"
    [warned] = [one for one in run.directory.read_events() if isinstance(one, RunWarned)]
    assert "could not go on" in warned.message
    assert "could not go on" in services.training.snapshot(run.run_id).messages[-1].text
    assert "train.jsonl" in warned.message
    assert is_due(other.directory)
    with pytest.raises(CheckpointDiffersError):
        services.training.enqueue_resume(run.run_id)


def test_a_clock_that_is_set_back_changes_no_order(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = stopped(services, 1), stopped(services, 2)
    services.training.enqueue_resume(first.run_id)
    monkeypatch.setattr("time.time_ns", lambda: 1_000)
    services.training.enqueue_resume(second.run_id)
    assert ids(services) == [first.run_id, second.run_id]


def test_marks_of_earlier_versions_and_damaged_ones_are_understood(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    old, torn = FakeRun.begin(workspace, "old"), FakeRun.begin(workspace, "torn")
    old.directory.queued.write_text("17\n")
    torn.directory.queued.write_text("")
    assert [one.run_id for one in RunQueue(workspace.runs).directories()] == ["torn", "old"]
    mark = queue_mark(old.directory)
    assert mark is not None
    assert (mark.since, mark.attempt) == (17, 0)


def test_a_disk_that_fills_when_a_run_is_queued_leaves_no_run_that_waits_for_ever(
    services: Services, qa_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = services.datasets.prepare(qa_file)
    sync = os.fsync

    def fails(descriptor: int) -> None:
        if "/.queued." in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(DiskFullError):
        services.training.enqueue(QLoRAConfig(EMBEDDED_MODEL), card.dataset_id)
    assert services.training.runs() == ()
    run = stopped(services)
    with pytest.raises(DiskFullError):
        services.training.enqueue_resume(run.run_id)
    assert services.training.snapshot(run.run_id).can_resume
    assert list(run.directory.path.glob(".queued*")) == []


def test_a_log_that_cannot_be_gone_on_with_ends_no_queue(services: Services) -> None:
    broken, fine = stopped(services, 1), stopped(services, 2)
    services.training.enqueue_resume(broken.run_id)
    services.training.enqueue_resume(fine.run_id)
    with broken.directory.events.open("ab") as log:
        log.write(b"\0\0\0\n")
    assert services.training.start_next() is None
    assert not broken.directory.queued.exists()
    assert fine.directory.queued.exists()


def test_a_damaged_run_in_the_queue_hides_no_other(services: Services) -> None:
    broken, fine = stopped(services, 1), stopped(services, 2)
    services.training.enqueue_resume(broken.run_id)
    services.training.enqueue_resume(fine.run_id)
    (broken.directory.path / "run.json").write_text("{")
    assert ids(services) == [fine.run_id]
    assert services.training.start_next() is None  # the broken one loses its turn
    assert not broken.directory.queued.exists()


def test_a_server_sees_what_the_command_line_did_with_a_run_that_it_had_watched(
    services: Services,
) -> None:
    run = FakeRun.begin(services.workspace)
    worker = psutil.Popen(["sleep", "60"])
    record_process(run.directory.worker_file, worker)
    services.training.attach()
    worker.kill()
    wait_until(lambda: not services.training.is_watching)
    assert services.training.snapshot(run.run_id).state == "failed"
    run.append(RunStarted(job="train"), RunStopped(step=9))
    snapshot = services.training.snapshot(run.run_id)
    assert (snapshot.attempt, snapshot.state) == (2, "stopped")

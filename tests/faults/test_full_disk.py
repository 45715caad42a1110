"""The disk fills up, or cannot be written: said in words, and no checkpoint is lost."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medqlora.domain.events import CheckpointSaved, Event, RunFailed, RunStarted, StepLogged
from medqlora.errors import DiskFullError, StorageUnavailableError
from medqlora.persistence.checkpoints import CheckpointManager
from medqlora.runs.event_log import EventLogWriter, read_events
from medqlora.runs.run_directory import RunDirectory
from medqlora.services import Services
from tests.faults.faulty_worker import Inject
from tests.faults.runs import CONFIG, assert_one_end_each, events_of, warnings_of
from tests.waiting import wait_for_end, wait_for_step, wait_until


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs the system's administrator")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def runs_on_disk(services: Services, disk: Path) -> Iterator[Path]:
    """The workspace's runs lie on the small disk."""
    services.workspace.runs.rmdir()
    services.workspace.runs.symlink_to(disk)
    yield disk
    run_id = services.training.current()
    if run_id:  # before the disk is taken away
        services.training.stop(run_id)
        wait_for_end(services.training, run_id)


def append_until_refused(log: EventLogWriter, event: Event) -> None:
    for _ in range(1000):
        log.append(event)


def fill(path: Path, *, leave: int = 0) -> None:
    """Takes all space of a disk but `leave` bytes."""
    with path.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        file.truncate(max(file.tell() - leave, 0))


def test_training_waits_while_the_disk_is_full_and_goes_on_when_space_is_freed(
    services: Services, qa_file: Path, runs_on_disk: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    run_id = services.training.start(CONFIG.changed(max_steps=60, save_steps=20), card.dataset_id)
    wait_until(lambda: services.training.snapshot(run_id).checkpoint_step == 20)
    fill(runs_on_disk / "others", leave=64 * 1024)
    wait_until(lambda: "free disk space" in services.training.snapshot(run_id).phase)
    checkpoints = CheckpointManager(services.training.directory(run_id).checkpoints)
    assert checkpoints.validate(20).step == 20
    assert "The disk is full" in warnings_of(services, run_id)
    (runs_on_disk / "others").unlink()
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    assert [point.x for point in snapshot.traces["loss"]] == list(range(1, 61))
    assert len(events_of(services, run_id, RunStarted)) == 1


def test_a_stop_while_the_disk_is_full_keeps_the_checkpoint_before(
    services: Services, qa_file: Path, runs_on_disk: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    run_id = services.training.start(CONFIG.changed(max_steps=4000, save_steps=20), card.dataset_id)
    wait_until(lambda: services.training.snapshot(run_id).checkpoint_step == 20)
    fill(runs_on_disk / "others", leave=64 * 1024)
    wait_until(lambda: "free disk space" in services.training.snapshot(run_id).phase)
    services.training.stop(run_id)
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state == "stopped"
    assert snapshot.outcome is not None
    assert snapshot.checkpoint_step == 20


def test_a_disk_that_fills_in_the_middle_of_a_save_leaves_the_checkpoint_before(
    services: Services, qa_file: Path, runs_on_disk: Path, inject: Inject
) -> None:
    card = services.datasets.prepare(qa_file)
    others = runs_on_disk / "others"
    inject("disk_fills_in_save", save=2, path=str(others))
    run_id = services.training.start(CONFIG, card.dataset_id)
    snapshot = wait_for_end(services.training, run_id)
    assert isinstance(snapshot.outcome, RunFailed)
    assert snapshot.outcome.code == "disk_full"
    assert "disk is full" in snapshot.outcome.message
    assert snapshot.can_resume
    checkpoints = CheckpointManager(services.training.directory(run_id).checkpoints)
    assert checkpoints.validate(3).step == 3
    inject()
    with pytest.raises(DiskFullError):  # not yet freed
        services.training.resume(run_id)
    others.unlink()
    services.training.resume(run_id)
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    assert events_of(services, run_id, RunStarted)[-1].resumed_from_step == 3
    assert [one.step for one in events_of(services, run_id, CheckpointSaved)] == [3, 6, 8]
    assert_one_end_each(services, run_id)


def test_a_run_for_which_there_is_no_space_leaves_nothing_that_seems_to_run(
    services: Services, qa_file: Path, runs_on_disk: Path
) -> None:
    """With a page more of space each time, so that the disk is full at another file each time."""
    card = services.datasets.prepare(qa_file)
    training = services.training
    others = runs_on_disk / "others"
    queued = run_id = ""
    num_refused = 0
    for leave in range(0, 40 * 4096, 4096):
        fill(others, leave=leave)
        try:
            queued = queued or training.enqueue(CONFIG, card.dataset_id)
            fill(others, leave=leave)
            run_id = training.start(CONFIG, card.dataset_id)
            break
        except DiskFullError:
            num_refused += 1
            known = {one.run_id: one for one in training.runs()}
            assert {one.name for one in runs_on_disk.iterdir()} == {*known, "others"}
            known.pop(queued, None)
            for one in known.values():  # where there was space to write what happened to it
                assert one.can_resume
                training.delete(one.run_id)
    assert num_refused > 5
    assert [one.run_id for one in training.queued()] == [queued]
    others.unlink()
    training.stop(run_id)
    wait_for_end(training, run_id)


def test_a_folder_that_is_read_only_is_refused_at_the_start(
    services: Services, qa_file: Path, runs_on_disk: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    path = services.workspace.runs / "20260101-000000-made-before"
    made = services.training.create(CONFIG, card.dataset_id, path=path)
    with EventLogWriter(made.events, run_id=made.run_id) as log:
        log.append(RunStarted(job="train"))
        log.append(RunFailed(code="killed", message="It was ended.", hint="Resume."))
    made.stop_file.touch()
    subprocess.run(["mount", "-o", "remount,ro", str(runs_on_disk)], check=True)
    begun = time.monotonic()
    with pytest.raises(StorageUnavailableError, match="cannot be used"):
        services.training.start(CONFIG, card.dataset_id)
    with pytest.raises(StorageUnavailableError, match="cannot be used"):
        services.training.resume(made.run_id)
    assert time.monotonic() - begun < 5
    assert services.training.current() is None
    subprocess.run(["mount", "-o", "remount,rw", str(runs_on_disk)], check=True)
    # The refusals have given the machine back.
    services.training.resume(made.run_id)
    wait_for_step(services.training, made.run_id, 1)


def test_a_log_on_a_full_disk_has_whole_lines_and_no_gap(disk: Path) -> None:
    directory = RunDirectory(disk)
    step = StepLogged(
        step=1, total_steps=2, epoch=1.0, loss=1.0, learning_rate=1e-4, grad_norm=1.0,
        tokens_per_second=1.0, num_tokens=1, seconds_left=1.0,
    )  # fmt: skip
    with EventLogWriter(directory.events, run_id="a-run") as log:
        log.append(step)
        fill(disk / "others", leave=4096)
        with pytest.raises(DiskFullError):
            append_until_refused(log, step)
        written = len(read_events(directory.events))
        (disk / "others").unlink()
        log.append(step)
    events = read_events(directory.events)
    assert [one.seq for one in events] == list(range(1, written + 2))


@pytest.mark.parametrize("form", ["zip", "merged"])
def test_an_export_onto_a_full_disk_is_a_sentence_and_leaves_nothing(
    services: Services, qa_file: Path, disk: Path, form: str
) -> None:
    card = services.datasets.prepare(qa_file)
    run_id = services.training.start(CONFIG.changed(max_steps=1), card.dataset_id)
    wait_for_end(services.training, run_id)
    run = services.training.directory(run_id)
    fill(disk / "others", leave=8192)
    export = services.library.export if form == "zip" else services.library.export_merged
    with pytest.raises(DiskFullError) as caught:
        export(run, disk)
    assert "Free some space" in caught.value.hint
    assert [one.name for one in disk.iterdir()] == ["others"]

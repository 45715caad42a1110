"""A mirror that hangs, tears, fills up or vanishes never harms a run, and is caught up with."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import psutil
import pytest

from medqlora.errors import MedQLoRAError
from medqlora.persistence.storage_address import StorageAddress, set_mirror
from medqlora.persistence.workspace import Workspace
from medqlora.runs.courier import Courier
from medqlora.runs.mirror_worker import ensure_mirroring
from medqlora.runs.process import recorded_process, start_worker
from medqlora.services import Services
from medqlora.services.mirror import MirrorStatus
from tests.mirrored_datasets import write_dataset
from tests.mirrored_runs import FakeRun, contents
from tests.running_app import App, free_port
from tests.services.reviewing import EVALUATION, RUN, pairs, write_evaluation
from tests.waiting import wait_until

PLUGIN = Path(__file__).parents[1] / "persistence" / "faulty_storage"
SECONDS = 240.0


class Faulty:
    """A storage at `address` that can be broken and mended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "faulty"
        self.folder.mkdir()
        self.control = folder / "fault"
        self.address = f"faulty://{self.folder}"

    def breaks(self, how: str) -> None:
        self.control.write_text(how)

    def is_mended(self) -> None:
        self.control.unlink(missing_ok=True)


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    storage = Faulty(tmp_path)
    monkeypatch.setenv("FAULTY_STORAGE", str(storage.control))
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN))
    monkeypatch.syspath_prepend(str(PLUGIN))
    fsspec.register_implementation("faulty", "faulty_storage.FaultyFileSystem", clobber=True)
    return storage


@pytest.fixture
def services(workspace: Workspace, storage: Faulty) -> Services:
    return Services.open(workspace.root, mirror=storage.address)


@pytest.fixture
def start(workspace: Workspace) -> Iterator[Callable[..., psutil.Popen]]:
    """Starts the mirror's process, which takes twenty seconds of silence for hanging."""
    started: list[psutil.Popen] = []

    def begin(idle_seconds: str = "60") -> psutil.Popen:
        workspace.mirror.mkdir(exist_ok=True)
        process = start_worker(
            "medqlora.runs.mirror_worker",
            [str(workspace.root), "--silence-seconds", "20", "--idle-seconds", idle_seconds],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def state(services: Services, run: FakeRun) -> MirrorStatus:
    found = services.mirror.state(run.run_id)
    assert found is not None
    return found


def wait_until_safe(services: Services, run: FakeRun, step: int) -> None:
    wait_until(
        lambda: state(services, run).is_safe and state(services, run).step == step, seconds=SECONDS
    )


def restored_step(storage: Faulty, folder: Path, run: FakeRun) -> int:
    """The step that a new machine goes on from."""
    new = Workspace.open(folder / f"new-machine-{time.monotonic_ns()}")
    address = StorageAddress.parse(storage.address)
    return int(Courier(new).send("restore", address, run.folder)["step"])


FAULTS = {
    "enotconn": "endpoint is not connected",
    "eio": "Input/output error",
    "full": "no space left for the copy",
    "read-only": "Read-only file system",
    "tear": "Input/output error",
    "silent-tear": "damaged",
    "zero": "damaged",
    "hang": "hangs",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_said_nothing_is_harmed_and_the_copy_catches_up(
    services: Services,
    storage: Faulty,
    start: Callable[..., psutil.Popen],
    tmp_path: Path,
    fault: str,
) -> None:
    run = FakeRun.begin(services.workspace)
    run.save(10)
    start()
    wait_until_safe(services, run, 10)
    assert state(services, run).message == f"Safe in {storage.address} up to step 10."

    storage.breaks(fault)
    run.save(20)
    here = contents(run.directory.path)
    wait_until(lambda: FAULTS[fault] in state(services, run).message, seconds=SECONDS)
    told = state(services, run)
    assert not told.is_safe
    assert told.step == 10
    assert told.message.startswith(f"Safe in {storage.address} up to step 10, the rest not yet.")
    assert contents(run.directory.path) == here
    if fault not in ("enotconn", "eio"):  # then nothing can be read either
        assert restored_step(storage, tmp_path, run) == 10

    storage.is_mended()
    wait_until_safe(services, run, 20)
    assert restored_step(storage, tmp_path, run) == 20


def test_an_evaluation_is_safe_once_a_torn_storage_took_all_of_it(
    services: Services, storage: Faulty, start: Callable[..., psutil.Popen], tmp_path: Path
) -> None:
    run = FakeRun.begin(services.workspace, RUN)
    run.save(10)
    run.succeed()
    start()
    wait_until_safe(services, run, 10)
    storage.breaks("silent-tear")
    write_evaluation(services.workspace, pairs(3))
    wait_until(lambda: "damaged" in state(services, run).message, seconds=SECONDS)
    storage.is_mended()
    wait_until_safe(services, run, 10)
    new = Services.open(tmp_path / "another-machine", mirror=storage.address)
    new.mirror.restore(run.run_id)
    assert new.evaluation.items(EVALUATION) == services.evaluation.items(EVALUATION)


def test_files_that_vanish_or_turn_to_zero_bytes_are_made_good_by_the_next_copy(
    services: Services, storage: Faulty, start: Callable[..., psutil.Popen], tmp_path: Path
) -> None:
    run = FakeRun.begin(services.workspace)
    run.save(10)
    start()
    wait_until_safe(services, run, 10)
    stored = storage.folder / "runs" / run.run_id
    for number, file in enumerate(sorted(stored.rglob("*-*.jsonl"))):
        file.unlink() if number % 2 else file.write_bytes(b"")
    with pytest.raises(MedQLoRAError, match="no whole copy"):
        restored_step(storage, tmp_path, run)
    run.save(20)
    wait_until_safe(services, run, 20)
    assert restored_step(storage, tmp_path, run) == 20


def test_a_mount_that_is_gone_leaves_an_empty_folder_which_is_not_written_to(
    services: Services, storage: Faulty, start: Callable[..., psutil.Popen], tmp_path: Path
) -> None:
    run = FakeRun.begin(services.workspace)
    run.save(10)
    start()
    wait_until_safe(services, run, 10)
    storage.folder.rename(tmp_path / "elsewhere")
    storage.folder.mkdir()
    run.save(20)
    wait_until(lambda: "not connected" in state(services, run).message, seconds=SECONDS)
    assert list(storage.folder.iterdir()) == []
    storage.folder.rmdir()
    (tmp_path / "elsewhere").rename(storage.folder)
    wait_until_safe(services, run, 20)


def test_killing_the_mirroring_at_any_moment_loses_nothing(
    services: Services, storage: Faulty, start: Callable[..., psutil.Popen], tmp_path: Path
) -> None:
    moments = random.Random(7)
    run = FakeRun.begin(services.workspace)
    storage.breaks("slow")  # a third of a second a file, so that kills fall into the middle
    safe = 0
    for step in range(1, 9):
        run.save(step)
        process = start()
        time.sleep(moments.uniform(0.5, 5.0))
        children = process.children(recursive=True)
        victims = [process, *children] if moments.random() < 0.5 else children or [process]
        for victim in (*victims, process):
            if victim.is_running():
                victim.kill()
        process.wait()
        psutil.wait_procs(children, timeout=10)
        # The first manifest may have been torn by the kill: then there is no copy yet to lose.
        manifests = (storage.folder / "runs").glob("*/state-*.json")
        if safe or any(one.stat().st_size for one in manifests):
            found = restored_step(storage, tmp_path, run)
            assert found >= safe
            safe = found
    storage.is_mended()
    start()
    wait_until_safe(services, run, 8)
    assert restored_step(storage, tmp_path, run) == 8


def test_two_runs_at_once_are_both_copied(
    services: Services, storage: Faulty, start: Callable[..., psutil.Popen], tmp_path: Path
) -> None:
    first = FakeRun.begin(services.workspace, "20261122-101500-first-0001")
    second = FakeRun.begin(services.workspace, "20261122-101501-second-0002")
    start()
    for step in (10, 20, 30):
        first.save(step)
        second.save(step + 1)
    first.succeed()
    wait_until_safe(services, first, 30)
    wait_until_safe(services, second, 31)
    assert state(services, first).message.endswith("with the adapter.")
    assert restored_step(storage, tmp_path, first) == 30
    assert restored_step(storage, tmp_path, second) == 31


# Prepared datasets


def dataset_message(services: Services, dataset: Path) -> str:
    found = services.mirror.state_of_dataset(dataset.name)
    assert found is not None
    return found.message


def wait_until_dataset_safe(services: Services, storage: Faulty, dataset: Path) -> None:
    safe = f"Safe in {storage.address}."
    wait_until(lambda: dataset_message(services, dataset) == safe, seconds=SECONDS)


def brought_back(storage: Faulty, folder: Path) -> dict[str, bytes]:
    """The datasets that a new machine has of the mirror."""
    new = Services.open(folder / f"new-machine-{time.monotonic_ns()}", mirror=storage.address)
    new.mirror.restore_datasets()
    return contents(new.workspace.datasets)


@pytest.mark.parametrize("fault", ["enotconn", "full", "silent-tear", "zero"])
def test_a_fault_keeps_a_dataset_from_being_called_safe_until_it_is(
    services: Services,
    storage: Faulty,
    start: Callable[..., psutil.Popen],
    tmp_path: Path,
    fault: str,
) -> None:
    first = write_dataset(services.workspace, "first-0001")
    start()
    wait_until_dataset_safe(services, storage, first)
    storage.breaks(fault)
    second = write_dataset(services.workspace, "second-0002")
    here = contents(services.workspace.datasets)
    wait_until(lambda: FAULTS[fault] in dataset_message(services, second), seconds=SECONDS)
    assert dataset_message(services, second).startswith(f"Not yet safe in {storage.address}. ")
    assert dataset_message(services, first) == f"Safe in {storage.address}."
    if fault != "enotconn":  # then nothing can be read either
        back = brought_back(storage, tmp_path)
        assert back == {name: here[name] for name in here if name.startswith("first-0001/")}
    storage.is_mended()
    wait_until_dataset_safe(services, storage, second)
    assert contents(services.workspace.datasets) == here == brought_back(storage, tmp_path)


def test_a_mount_that_is_gone_is_said_of_a_dataset_and_not_written_to(
    services: Services, storage: Faulty, start: Callable[..., psutil.Popen], tmp_path: Path
) -> None:
    first = write_dataset(services.workspace, "first-0001")
    start()
    wait_until_dataset_safe(services, storage, first)
    storage.folder.rename(tmp_path / "elsewhere")
    storage.folder.mkdir()
    second = write_dataset(services.workspace, "second-0002")
    wait_until(lambda: "not connected" in dataset_message(services, second), seconds=SECONDS)
    assert list(storage.folder.iterdir()) == []
    storage.folder.rmdir()
    (tmp_path / "elsewhere").rename(storage.folder)
    wait_until_dataset_safe(services, storage, second)
    assert brought_back(storage, tmp_path) == contents(services.workspace.datasets)


def test_killing_the_copying_of_datasets_at_any_moment_loses_nothing(
    services: Services, storage: Faulty, start: Callable[..., psutil.Popen], tmp_path: Path
) -> None:
    moments = random.Random(11)
    storage.breaks("slow")  # a third of a second a file, so that kills fall into the middle
    made: list[Path] = []
    num_interrupted = 0
    for number in range(3):
        made.append(write_dataset(services.workspace, f"set-{number}"))
        process, copy = start(), storage.folder / "datasets" / f"set-{number}"
        wait_until(lambda copy=copy: copy.is_dir(), seconds=SECONDS)
        time.sleep(moments.uniform(0.0, 1.5))
        children = process.children(recursive=True)
        for victim in (process, *children):
            if victim.is_running():
                victim.kill()  # SIGKILL
        process.wait()
        psutil.wait_procs(children, timeout=10)
        safe = {one.name for one in made if dataset_message(services, one).startswith("Safe")}
        num_interrupted += f"set-{number}" not in safe
        back = brought_back(storage, tmp_path)
        assert safe <= {name.split("/")[0] for name in back}
        here = contents(services.workspace.datasets)
        assert back == {name: here[name] for name in back}  # each whole, to the byte
    assert num_interrupted
    storage.is_mended()
    start()
    for one in made:
        wait_until_dataset_safe(services, storage, one)
    assert brought_back(storage, tmp_path) == contents(services.workspace.datasets)


def test_killing_the_bringing_back_at_any_moment_leaves_no_half_of_a_dataset(
    services: Services, storage: Faulty, tmp_path: Path
) -> None:
    moments = random.Random(13)
    dataset = write_dataset(services.workspace, entries=60_000)
    address = StorageAddress.parse(storage.address)
    Courier(services.workspace).send("push", address, f"datasets/{dataset.name}")
    new = Services.open(tmp_path / "new-machine", mirror=storage.address)
    whole, killed = contents(services.workspace.datasets), 0
    for number in range(6):
        shutil.rmtree(new.workspace.inbox, ignore_errors=True)  # so that it tells of this courier
        courier = start_worker(
            "medqlora.runs.mirror_courier",
            ["restore-datasets", str(new.workspace.root), address.backend, address.location],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # From when it has begun to fetch on; a kill before that is none of this.
        wait_until(lambda: new.workspace.inbox.is_dir() or bool(new.datasets.cards()))
        time.sleep(moments.uniform(0.0, 0.3) if number else 0.0)
        courier.kill()
        courier.wait()
        courier.stdin.close()
        killed += not new.datasets.cards()
        assert contents(new.workspace.datasets) in ({}, whole)
        if new.datasets.cards():
            new.datasets.delete(dataset.name)
    assert killed
    new.mirror.restore_datasets()
    assert contents(new.workspace.datasets) == whole
    assert not new.workspace.inbox.exists()


def test_one_process_mirrors_a_workspace_however_often_it_is_asked_for(
    services: Services, storage: Faulty
) -> None:
    run = FakeRun.begin(services.workspace)
    run.save(10)
    storage.breaks("hang")
    record = services.workspace.mirror / "worker.json"
    try:
        for _ in range(5):
            ensure_mirroring(services.workspace)
        wait_until(lambda: recorded_process(record) is not None, seconds=SECONDS)
        first = recorded_process(record)
        ensure_mirroring(services.workspace)
        time.sleep(3)
        assert recorded_process(record) == first
        # A courier does not outlive it, hanging or not.
        assert first is not None
        couriers = first.children()
        first.kill()
        assert not psutil.wait_procs(couriers, timeout=10)[1]
    finally:
        left = recorded_process(record)
        if left:
            left.kill()


def test_the_mirrors_process_ends_when_all_is_safe_and_when_it_is_switched_off(
    services: Services, storage: Faulty, start: Callable[..., psutil.Popen]
) -> None:
    run = FakeRun.begin(services.workspace)
    run.save(10)
    run.stop(10)
    assert start("1").wait(timeout=SECONDS) == 0
    assert state(services, run).is_safe
    storage.breaks("enotconn")
    FakeRun.begin(services.workspace, "20261122-101502-other-0003")
    process = start()
    wait_until(lambda: (services.workspace.mirror / "state.json").read_text().count("tries") == 2)
    assert process.is_running()
    set_mirror(services.workspace, "off")
    assert process.wait(timeout=SECONDS) == 0
    assert services.mirror.state(run.run_id) is None


def test_a_mount_that_hangs_keeps_nobody_waiting(services: Services, storage: Faulty) -> None:
    run = FakeRun.begin(services.workspace)
    run.save(10)
    storage.breaks("hang")
    app = App(services.workspace.root, free_port(), ("--mirror", storage.address))
    try:
        app.start()
        record = services.workspace.mirror / "worker.json"
        wait_until(lambda: recorded_process(record) is not None, seconds=SECONDS)
        began = time.monotonic()
        for _ in range(20):
            assert not state(services, run).is_safe
        assert time.monotonic() - began < 2.0
        began = time.monotonic()
        assert app.stop() == 0
        assert time.monotonic() - began < 10.0
    finally:
        left = recorded_process(services.workspace.mirror / "worker.json")
        if left:
            left.kill()

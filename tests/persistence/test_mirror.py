"""A copy in the mirror is whole or not there, and what a mirror says is not believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medqlora.domain.events import RunStarted
from medqlora.errors import PersistenceError, StorageUnavailableError
from medqlora.persistence.cloud import CloudStorageInterface
from medqlora.persistence.mirror import Mirror
from medqlora.persistence.mirror_manifest import MirroredState, _sealed
from medqlora.persistence.workspace import Workspace
from medqlora.runs.outbox import collect
from medqlora.runs.restoring import restore
from tests.mirrored_runs import FILE_BYTES, FakeRun, contents


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    return tmp_path / "drive"


@pytest.fixture
def mirror(drive: Path) -> Mirror:
    mirror = Mirror(CloudStorageInterface("local", str(drive)))
    mirror.open(is_known=False)
    return mirror


@pytest.fixture
def run(workspace: Workspace) -> FakeRun:
    return FakeRun.begin(workspace)


@pytest.fixture
def new_machine(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "new-machine")


def push(mirror: Mirror, workspace: Workspace, run: FakeRun) -> MirroredState:
    return mirror.push(collect(run.directory, workspace.mirror / "outbox"))


def stored(folder: Path, name: str) -> Path:
    """The file in the mirror that is called `name` at home."""
    [file] = folder.glob(f"*-{name}")
    return file


def names(drive: Path, run: FakeRun) -> set[str]:
    return set(contents(drive / "runs" / run.run_id))


def test_a_run_comes_back_on_a_new_machine_as_it_was(
    mirror: Mirror, workspace: Workspace, run: FakeRun, new_machine: Workspace
) -> None:
    run.save(10)
    run.save(20)
    run.stop(20)
    state = push(mirror, workspace, run)
    assert (state.step, state.outcome, state.attempt) == (20, "stopped", 1)
    fetched = restore(mirror, new_machine, run.run_id)
    assert fetched.num_passed_over == 0
    back = contents(new_machine.runs / run.run_id)
    here = contents(run.directory.path)
    assert json.loads(back.pop("run.json"))["models_dir"] == str(new_machine.models)
    here.pop("run.json")
    assert back == {
        name: data
        for name, data in here.items()
        if not name.startswith("checkpoints/checkpoint-10")
    }
    assert not (new_machine.mirror / "inbox").exists()


def test_only_the_newest_two_checkpoints_stay(
    mirror: Mirror, workspace: Workspace, run: FakeRun, drive: Path
) -> None:
    for step in (10, 20, 30, 40):
        run.save(step)
        push(mirror, workspace, run)
    run.succeed()
    push(mirror, workspace, run)
    kept = names(drive, run)
    assert {one.split("/")[1] for one in kept if one.startswith("checkpoints/")} == {
        "checkpoint-30",
        "checkpoint-40",
    }
    assert len([one for one in kept if one.startswith("state-")]) == 2
    assert len([one for one in kept if one.endswith("events.jsonl")]) == 2
    assert len([one for one in kept if one.endswith("-adapter_model.safetensors")]) == 3


def test_pushing_a_whole_copy_again_writes_nothing(
    mirror: Mirror, workspace: Workspace, run: FakeRun, drive: Path
) -> None:
    run.save(10)
    first = push(mirror, workspace, run)
    before = {path: path.stat().st_mtime_ns for path in drive.rglob("*")}
    assert push(mirror, workspace, run) == first
    assert {path: path.stat().st_mtime_ns for path in drive.rglob("*")} == before


DAMAGES: dict[str, Callable[[Path], object]] = {
    "zero bytes": lambda path: path.write_bytes(b""),
    "torn": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "vanished": lambda path: path.unlink(),
    "one bit": lambda path: path.write_bytes(
        bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name", ["checkpoints/checkpoint-20/*optimizer.pt", "*-events.jsonl", "state-*5.json"]
)
def test_damage_to_the_newest_copy_is_found_and_the_one_before_is_used(
    mirror: Mirror,
    workspace: Workspace,
    run: FakeRun,
    new_machine: Workspace,
    drive: Path,
    damage: str,
    name: str,
) -> None:
    run.save(10)
    push(mirror, workspace, run)
    run.save(20)
    assert push(mirror, workspace, run).seq == 5
    newest = max((drive / "runs" / run.run_id).glob(name), key=lambda file: file.stat().st_mtime_ns)
    DAMAGES[damage](newest)
    fetched = restore(mirror, new_machine, run.run_id)
    assert fetched.state.step == 10
    back = new_machine.runs / run.run_id
    assert not (back / "checkpoints" / "checkpoint-20").exists()
    log = (back / "events.jsonl").read_text()
    if not (name.startswith("state") and damage == "vanished"):  # then nobody knows of it
        assert fetched.num_passed_over == 1
        assert "The newest copy in the mirror was damaged" in log
    # A run that was going on is one that was interrupted, and can be resumed.
    assert log.splitlines()[-1].count('"code": "interrupted"') == 1
    # Doing the lost steps again repairs what is damaged, though it is the same to the byte.
    again = FakeRun.of(new_machine, run.run_id)
    again.append(RunStarted(job="train", resumed_from_step=10))
    again.save(20)
    push(mirror, new_machine, again)
    found = mirror.fetch(run.folder, new_machine.root / "look")
    assert (found.state.attempt, found.state.step, found.num_passed_over) == (2, 20, 0)


def test_a_copy_that_was_interrupted_is_not_taken_for_whole_and_is_gone_on_with(
    mirror: Mirror, workspace: Workspace, run: FakeRun, new_machine: Workspace, drive: Path
) -> None:
    run.save(10)
    push(mirror, workspace, run)
    run.save(20)
    whole = push(mirror, workspace, run)
    folder = drive / "runs" / run.run_id
    # As a kill leaves it: some files there, one half, no manifest.
    (drive / whole.key).unlink()
    checkpoint = folder / "checkpoints/checkpoint-20"
    stored(checkpoint, "scheduler.pt").unlink()
    torn = stored(checkpoint, "rng_state.pth")
    torn.write_bytes(torn.read_bytes()[:99])
    (checkpoint / ".copy-abc").write_bytes(b"half")
    assert mirror.fetch(run.folder, new_machine.root / "look").state.step == 10
    written = stored(checkpoint, "optimizer.pt").stat().st_mtime_ns
    assert push(mirror, workspace, run).step == 20
    assert stored(checkpoint, "optimizer.pt").stat().st_mtime_ns == written
    assert restore(mirror, new_machine, run.run_id).state.step == 20


def test_a_damaged_checkpoint_is_not_copied(
    mirror: Mirror, workspace: Workspace, run: FakeRun
) -> None:
    run.save(10)
    run.save(20)
    DAMAGES["one bit"](run.directory.checkpoints / "checkpoint-20" / "optimizer.pt")
    assert push(mirror, workspace, run).step == 10
    assert (run.directory.checkpoints / "checkpoint-20").is_dir()  # whose folder it is decides


def test_what_is_on_its_way_survives_the_trainers_rotation(
    mirror: Mirror, workspace: Workspace, run: FakeRun
) -> None:
    run.save(10)
    copy = collect(run.directory, workspace.mirror / "outbox")
    for step in (20, 30, 40):
        run.save(step)
    assert not (run.directory.checkpoints / "checkpoint-10").exists()
    assert mirror.push(copy).step == 10


def test_a_run_that_was_gone_on_with_elsewhere_is_newer_whatever_its_step(
    mirror: Mirror, workspace: Workspace, run: FakeRun, new_machine: Workspace, tmp_path: Path
) -> None:
    for step in (10, 20):
        run.save(step)
        push(mirror, workspace, run)
    DAMAGES["torn"](
        stored(tmp_path / "drive/runs" / run.run_id / "checkpoints/checkpoint-20", "optimizer.pt")
    )
    restore(mirror, new_machine, run.run_id)
    there = FakeRun.of(new_machine, run.run_id)
    there.append(RunStarted(job="train", resumed_from_step=10))
    there.save(15)
    push(mirror, new_machine, there)
    # The first machine is not dead after all: it neither wins nor clears anything away.
    push(mirror, workspace, run)
    found = mirror.fetch(run.folder, tmp_path / "look")
    assert (found.state.attempt, found.state.step) == (2, 15)


def test_a_run_that_is_here_is_never_overwritten(
    mirror: Mirror, workspace: Workspace, run: FakeRun
) -> None:
    run.save(10)
    push(mirror, workspace, run)
    run.save(20)
    before = contents(run.directory.path)
    with pytest.raises(PersistenceError, match="in the workspace already"):
        restore(mirror, workspace, run.run_id)
    assert contents(run.directory.path) == before


def test_two_who_bring_a_run_back_at_once_do_not_get_into_each_others_way(
    mirror: Mirror, workspace: Workspace, run: FakeRun, new_machine: Workspace, drive: Path
) -> None:
    run.save(10)
    push(mirror, workspace, run)
    refused: list[PersistenceError] = []

    def also_wants_it() -> None:
        if not refused:
            with pytest.raises(PersistenceError, match="already") as no:
                restore(mirror, new_machine, run.run_id)
            refused.append(no.value)

    slow = Mirror(CloudStorageInterface("local", str(drive), on_progress=also_wants_it))
    assert restore(slow, new_machine, run.run_id).state.step == 10
    assert len(refused) == 1
    assert (new_machine.runs / run.run_id / "checkpoints" / "checkpoint-10").is_dir()


def test_the_empty_folder_of_a_lost_mount_is_not_taken_for_the_mirror(
    mirror: Mirror, drive: Path
) -> None:
    mirror.open(is_known=True)
    (drive / "mirror.json").unlink()
    with pytest.raises(StorageUnavailableError, match="not connected"):
        mirror.open(is_known=True)
    assert list(drive.iterdir()) == []


# What somebody else might have written


def rewrite(drive: Path, state: MirroredState, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes a manifest and seals it anew, as anybody can who writes to the mirror."""
    body = json.loads((drive / state.key).read_text())["state"]
    change(body)
    (drive / state.key).write_text(json.dumps({"state": body, "sha256": _sealed(body)}))


def moved(path: str) -> Callable[[dict[str, Any]], object]:
    def change(body: dict[str, Any]) -> None:
        body["files"][path] = body["files"].pop("data/train.jsonl")

    return change


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "parent": moved("../../../escaped.jsonl"),
    "absolute": moved("/tmp/escaped.jsonl"),
    "inside out": moved("checkpoints/checkpoint-1/../../../x"),
    "other place": moved("worker.json"),
    "code": moved("adapter/../../sitecustomize.py"),
    "hidden": moved("adapter/.hidden"),
    "backslash": moved("adapter\\x"),
    "nul": moved("adapter/x\0y"),
    "long": moved("adapter/" + "x" * 300),
    "other run": lambda body: body.update(folder="runs/20261122-101500-other-0001"),
    "negative size": lambda body: body["files"]["run.json"].update(bytes=-1),
    "huge size": lambda body: body["files"]["run.json"].update(bytes=2**60),
    "no hash": lambda body: body["files"]["run.json"].update(sha256="../../" + "0" * 58),
    "no number": lambda body: body["files"]["run.json"].update(bytes="9"),
    "truth": lambda body: body.update(step=True),
    "no time": lambda body: body.update(at="yesterday"),
    "no files": lambda body: body.update(files=None),
    "many files": lambda body: body["files"].update(
        {f"adapter/{i}": {"bytes": 1, "sha256": "0" * 64} for i in range(600)}
    ),
    "newer than its name": lambda body: body.update(seq=99_999_999),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_manifest_is_refused_and_nothing_is_written(
    mirror: Mirror,
    workspace: Workspace,
    run: FakeRun,
    new_machine: Workspace,
    drive: Path,
    tmp_path: Path,
    hostile: str,
) -> None:
    run.save(10)
    rewrite(drive, push(mirror, workspace, run), HOSTILE[hostile])
    before = set(tmp_path.rglob("*"))
    with pytest.raises(PersistenceError, match="no whole copy"):
        restore(mirror, new_machine, run.run_id)
    new = set(tmp_path.rglob("*")) - before
    assert new <= {new_machine.mirror, new_machine.mirror / "inbox.lock"}
    assert mirror.listing("runs").newest == ()


@pytest.mark.parametrize("text", ["", "[" * 100_000, "{}", "null", '{"state": 1}', "\xff"])
def test_a_manifest_that_is_none_is_refused(
    mirror: Mirror,
    workspace: Workspace,
    run: FakeRun,
    new_machine: Workspace,
    drive: Path,
    text: str,
) -> None:
    run.save(10)
    (drive / push(mirror, workspace, run).key).write_text(text, encoding="latin-1")
    with pytest.raises(PersistenceError, match="no whole copy"):
        restore(mirror, new_machine, run.run_id)


@pytest.mark.parametrize("run_id", ["../runs", "..", "a/b", "", "A", "x" * 90])
def test_an_id_that_is_none_is_refused(mirror: Mirror, new_machine: Workspace, run_id: str) -> None:
    with pytest.raises(PersistenceError):
        restore(mirror, new_machine, run_id)


def test_folders_that_are_no_runs_are_not_offered(
    mirror: Mirror, workspace: Workspace, run: FakeRun, drive: Path
) -> None:
    run.save(10)
    state = push(mirror, workspace, run)
    for name in ("..x", "UPPER", "no-manifest"):
        (drive / "runs" / name).mkdir()
        (drive / "runs" / name / "run.json").write_text("{}")
    (drive / "notes.txt").write_text("mine")
    assert mirror.listing("runs").newest == (state,)


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(kind="evaluate"),
        lambda spec: spec.update(run_id="another"),
        lambda spec: spec["config"].update(model_name="../../etc"),
        lambda spec: spec["config"].update(rank=10**9),
        lambda spec: spec.update(config=[1]),
        lambda spec: spec.update(surprise=1),
        lambda spec: spec.update(name=["x"]),
    ],
)
def test_a_copy_that_is_no_run_of_ours_is_refused(
    mirror: Mirror,
    workspace: Workspace,
    run: FakeRun,
    new_machine: Workspace,
    change: Callable[[dict[str, Any]], object],
) -> None:
    run.save(10)
    spec = json.loads((run.directory.path / "run.json").read_text())
    change(spec)
    (run.directory.path / "run.json").write_text(json.dumps(spec))
    copy = collect_changed(run, workspace)
    mirror.push(copy)
    with pytest.raises(PersistenceError, match="not a run that this app made"):
        restore(mirror, new_machine, run.run_id)
    assert list(new_machine.runs.iterdir()) == []
    assert not (new_machine.mirror / "inbox").exists()


def collect_changed(run: FakeRun, workspace: Workspace) -> Any:
    """What a foreign machine might push: its `run.json` need not even be one."""
    changed = (run.directory.path / "run.json").read_bytes()
    whole = json.loads(changed)
    fine = {name: whole[name] for name in whole if name != "surprise"}
    (run.directory.path / "run.json").write_text(json.dumps(fine))
    copy = collect(run.directory, workspace.mirror / "outbox")
    copy.files["run.json"].unlink()
    copy.files["run.json"].write_bytes(changed)
    return copy


def test_a_file_that_grew_is_not_read_to_its_end(
    mirror: Mirror, workspace: Workspace, run: FakeRun, new_machine: Workspace, drive: Path
) -> None:
    run.save(10)
    push(mirror, workspace, run)
    grown = stored(drive / "runs" / run.run_id / "checkpoints/checkpoint-10", "optimizer.pt")
    with grown.open("r+b") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(PersistenceError, match="no whole copy"):
        restore(mirror, new_machine, run.run_id)
    assert FILE_BYTES < 2**20

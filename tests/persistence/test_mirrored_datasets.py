"""A prepared dataset is mirrored by itself, comes back whole or not at all, and is not believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medqlora.domain.phi import ScreeningRecord
from medqlora.errors import PersistenceError, StorageUnavailableError
from medqlora.persistence.cloud import CloudStorageInterface
from medqlora.persistence.mirror import Mirror
from medqlora.persistence.mirror_manifest import MirroredState, _sealed
from medqlora.persistence.storage_address import StorageAddress
from medqlora.persistence.workspace import Workspace
from medqlora.runs.mirror_backlog import MirrorBacklog
from medqlora.runs.outbox import collect, collect_dataset
from medqlora.runs.restoring import restore, restore_dataset
from medqlora.services import Services
from medqlora.services.erasing import CONFIRMATION, erase_everything
from tests.mirrored_datasets import digest_of, write_dataset
from tests.mirrored_runs import FakeRun, contents

PAIRS = "datasets/pairs-0001"


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    return tmp_path / "drive"


@pytest.fixture
def mirror(drive: Path) -> Mirror:
    mirror = Mirror(CloudStorageInterface("local", str(drive)))
    mirror.open(is_known=False)
    return mirror


@pytest.fixture
def new_machine(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "new-machine")


def push(mirror: Mirror, workspace: Workspace, dataset: Path) -> MirroredState:
    return mirror.push(collect_dataset(dataset, workspace.outbox))


def stored(drive: Path, name: str, folder: str = PAIRS) -> Path:
    [file] = (drive / folder).glob(name)
    return file


def test_a_dataset_comes_back_byte_for_byte_and_a_second_push_writes_nothing(
    mirror: Mirror, workspace: Workspace, new_machine: Workspace, drive: Path
) -> None:
    dataset = write_dataset(workspace)
    (dataset / "tokens" / "model").mkdir(parents=True)
    (dataset / "tokens" / "model" / "lengths.json").write_text("{}")
    first = push(mirror, workspace, dataset)
    before = contents(drive)
    assert push(mirror, workspace, dataset) == first
    assert contents(drive) == before
    restore_dataset(mirror, new_machine, dataset.name)
    shutil.rmtree(dataset / "tokens")  # counted again where they are needed
    assert contents(new_machine.datasets) == contents(workspace.datasets)
    assert not new_machine.inbox.exists()


def test_being_used_calls_for_no_copy_and_being_prepared_anew_does(
    mirror: Mirror, workspace: Workspace
) -> None:
    services = Services.open(workspace.root)
    dataset = write_dataset(workspace)
    backlog = MirrorBacklog(workspace, StorageAddress("local", "/somewhere"))
    backlog.look()
    assert (backlog.due(), backlog.is_safe(PAIRS)) == (PAIRS, False)
    done = {"seq": 0, "step": 0, "size_bytes": 9, "is_settled": True, "outcome": ""}
    backlog.succeeded(PAIRS, done, seconds=0.1)
    first = push(mirror, workspace, dataset)
    services.datasets.use(dataset.name)
    again = MirrorBacklog(workspace, backlog.address)  # as after a restart
    again.load()
    again.look()
    assert (again.is_known, again.due(), again.is_safe(PAIRS)) == (True, None, True)
    assert push(mirror, workspace, dataset) == first
    shutil.rmtree(dataset)
    again.look()
    assert not again.is_waiting()
    write_dataset(workspace, entries=20)
    again.look()
    assert again.due() == PAIRS
    second = push(mirror, workspace, dataset)
    assert second.key > first.key
    assert [one.key for one in mirror.listing("datasets").newest] == [second.key]


def test_a_run_that_goes_on_comes_first_then_datasets_then_runs_that_are_over(
    workspace: Workspace,
) -> None:
    over = FakeRun.begin(workspace, "20261130-101500-later-0002")
    over.stop(0)
    live = FakeRun.begin(workspace)
    write_dataset(workspace)
    (workspace.datasets / ".unfinished-x").mkdir()
    (workspace.datasets / "half").mkdir()  # without a card it is none
    backlog = MirrorBacklog(workspace, StorageAddress("local", "/somewhere"))
    backlog.look()
    order = []
    done = {"seq": 9, "step": 0, "size_bytes": 9, "is_settled": True, "outcome": ""}
    while (folder := backlog.due()) is not None:
        order.append(folder)
        backlog.succeeded(folder, done, seconds=0.1)
    assert order == [live.folder, PAIRS, over.folder]


@pytest.mark.parametrize("name", ["train.jsonl", "eval.jsonl", "dataset.json"])
@pytest.mark.parametrize("damage", [b"", b'{"question": "q", "answer": "a"}\n'])
def test_a_dataset_that_is_damaged_here_never_takes_the_place_of_a_whole_copy(
    mirror: Mirror, workspace: Workspace, drive: Path, name: str, damage: bytes
) -> None:
    dataset = write_dataset(workspace)
    push(mirror, workspace, dataset)
    before = contents(drive)
    (dataset / name).unlink()
    (dataset / name).write_bytes(damage)
    with pytest.raises(PersistenceError, match="not what its card says"):
        push(mirror, workspace, dataset)
    (dataset / name).unlink()
    with pytest.raises(PersistenceError, match="not what its card says"):
        push(mirror, workspace, dataset)
    assert contents(drive) == before


def test_datasets_come_back_those_that_are_damaged_are_named_and_those_here_stay(
    mirror: Mirror, workspace: Workspace, new_machine: Workspace, drive: Path
) -> None:
    for number in range(5):
        push(mirror, workspace, write_dataset(workspace, f"set-{number}"))
    stored(drive, "*-train.jsonl", "datasets/set-1").write_bytes(b"")
    torn = stored(drive, "*-eval.jsonl", "datasets/set-2")
    torn.write_bytes(bytes([torn.read_bytes()[0] ^ 1]) + torn.read_bytes()[1:])
    stored(drive, "state-*.json", "datasets/set-3").write_bytes(b"{")
    here = write_dataset(new_machine, "set-4", entries=30)
    kept = contents(here)
    services = Services.open(new_machine.root, mirror=str(drive))
    held = services.mirror.contents()
    assert {one.dataset_id: one.is_here for one in held.datasets} == {
        "set-0": False,
        "set-2": False,
        "set-4": True,
    }
    assert set(held.damaged) == {"datasets/set-1", "datasets/set-3"}

    restored = services.mirror.restore_datasets()
    assert restored.dataset_ids == ("set-0",)
    assert [one.split(":")[0] for one in restored.not_back] == [
        "datasets/set-3",
        "datasets/set-1",
        "set-2.jsonl",
    ]
    assert restored.message.startswith("set-0.jsonl is back. Not brought back: datasets/set-3: ")
    assert contents(new_machine.datasets / "set-0") == contents(workspace.datasets / "set-0")
    assert contents(here) == kept
    assert {one.name for one in new_machine.datasets.iterdir()} == {"set-0", "set-4"}
    again = services.mirror.restore_datasets()  # what is here does not come again
    assert (again.dataset_ids, len(again.not_back)) == ((), 3)
    assert again.message.startswith("No dataset is back. Not brought back: ")


def test_a_mirror_without_a_dataset_that_is_not_here_says_so(
    mirror: Mirror, workspace: Workspace, drive: Path
) -> None:
    services = Services.open(workspace.root, mirror=str(drive))
    push(mirror, workspace, write_dataset(workspace))
    with pytest.raises(PersistenceError, match="no dataset that is not here"):
        services.mirror.restore_datasets()
    with pytest.raises(PersistenceError, match="in the workspace already"):
        restore_dataset(mirror, workspace, "pairs-0001")
    services.mirror.configure(str(drive.parent / "elsewhere"))
    with pytest.raises(StorageUnavailableError, match="no mirror at this place"):
        services.mirror.restore_datasets()


# What somebody else might have written


def rewrite(drive: Path, state: MirroredState, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes a manifest and seals it anew, as anybody can who writes to the mirror."""
    body = json.loads((drive / state.key).read_text())["state"]
    change(body)
    (drive / state.key).write_text(json.dumps({"state": body, "sha256": _sealed(body)}))


def moved(path: str) -> Callable[[dict[str, Any]], object]:
    def change(body: dict[str, Any]) -> None:
        body["files"][path] = body["files"].pop("train.jsonl")

    return change


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "parent": moved("../../escaped.jsonl"),
    "absolute": moved("/tmp/escaped.jsonl"),
    "a run's file": moved("run.json"),
    "code": moved("adapter/sitecustomize.py"),
    "tokens": moved("tokens/model/lengths.json"),
    "hidden": moved(".hidden"),
    "other dataset": lambda body: body.update(folder="datasets/another"),
    "a run": lambda body: body.update(folder="runs/pairs-0001"),
    "huge": lambda body: body["files"]["train.jsonl"].update(bytes=2**50),
    "no hash": lambda body: body["files"]["train.jsonl"].update(sha256="../x"),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_manifest_is_refused_and_nothing_is_written(
    mirror: Mirror,
    workspace: Workspace,
    new_machine: Workspace,
    drive: Path,
    tmp_path: Path,
    hostile: str,
) -> None:
    rewrite(drive, push(mirror, workspace, write_dataset(workspace)), HOSTILE[hostile])
    before = set(tmp_path.rglob("*"))
    with pytest.raises(PersistenceError, match="no whole copy"):
        restore_dataset(mirror, new_machine, "pairs-0001")
    new = set(tmp_path.rglob("*")) - before
    assert new <= {new_machine.mirror, new_machine.mirror / "inbox.lock"}
    assert mirror.listing("datasets").damaged == (PAIRS,)


@pytest.mark.parametrize("dataset_id", ["../datasets", "..", "a/b", "", "A", "x" * 90])
def test_an_id_that_is_none_is_refused(
    mirror: Mirror, new_machine: Workspace, dataset_id: str
) -> None:
    with pytest.raises(PersistenceError):
        restore_dataset(mirror, new_machine, dataset_id)


def changed_card(**changes: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        card = json.loads((folder / "dataset.json").read_text())
        (folder / "dataset.json").write_text(json.dumps({**card, **changes}))

    return change


def changed_entries(line: str) -> Callable[[Path], object]:
    """Entries of which the card has the right hash and number."""

    def change(folder: Path) -> None:
        (folder / "eval.jsonl").write_text(line * 2)
        changed_card(sha256=digest_of(folder))(folder)

    return change


FORGED: dict[str, Callable[[Path], object]] = {
    "other dataset": changed_card(dataset_id="another"),
    "other entries": lambda folder: (folder / "train.jsonl").write_text('{"question": "q"}\n'),
    "wrong number": changed_card(num_train=7),
    "no text": changed_card(name=["x"]),
    "no card": lambda folder: (folder / "dataset.json").write_text("[1]"),
    "endless card": lambda folder: (folder / "dataset.json").write_bytes(b" " * (17 * 2**20)),
    "no entries": changed_entries("[]\n"),
    "a number for a question": changed_entries('{"question": 1, "answer": "a"}\n'),
    "a list of metadata": changed_entries('{"question": "q", "answer": "a", "metadata": []}\n'),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_copy_that_is_no_dataset_of_ours_is_refused_although_every_hash_is_right(
    mirror: Mirror, workspace: Workspace, new_machine: Workspace, forged: str
) -> None:
    copy = collect_dataset(write_dataset(workspace), workspace.outbox)
    FORGED[forged](workspace.outbox / "pairs-0001")
    mirror.push(copy)
    with pytest.raises(PersistenceError, match="not what its card says"):
        restore_dataset(mirror, new_machine, "pairs-0001")
    assert list(new_machine.datasets.iterdir()) == []
    assert not new_machine.inbox.exists()


def test_a_run_that_was_mirrored_before_datasets_were_still_comes_back(
    mirror: Mirror, workspace: Workspace, new_machine: Workspace, drive: Path
) -> None:
    run = FakeRun.begin(workspace)
    run.save(10)

    def as_before(body: dict[str, Any]) -> None:
        for name in ("folder", "digest"):
            del body[name]
        body.update(run_id=run.run_id, related="")

    rewrite(drive, mirror.push(collect(run.directory, workspace.outbox)), as_before)
    assert restore(mirror, new_machine, run.run_id).state.step == 10


# What the user is told


def test_findings_that_were_kept_are_said_to_be_in_the_mirror(
    workspace: Workspace, drive: Path
) -> None:
    services = Services.open(workspace.root, mirror=str(drive))
    kept = ScreeningRecord(
        action="keep",
        counts={"name": 3},
        num_rows=12,
        rows_touched=3,
        rules_version="1",
        screened_at="2026-11-22T10:00:00+00:00",
        confirmation="I may keep it",
    )
    write_dataset(workspace, screening=kept)
    write_dataset(workspace, "masked-0002")
    backlog = MirrorBacklog(workspace, StorageAddress.parse(str(drive)))
    backlog.look()
    told = services.mirror.state_of_dataset("pairs-0001")
    assert told is not None
    assert (told.is_safe, told.message) == (
        False,
        f"Not yet safe in {drive}. It is being copied.",
    )
    done = {"seq": 0, "step": 0, "size_bytes": 9, "is_settled": True, "outcome": ""}
    for folder in (PAIRS, "datasets/masked-0002"):
        backlog.succeeded(folder, done, seconds=0.1)
    said = [services.mirror.state_of_dataset(one) for one in ("pairs-0001", "masked-0002")]
    assert [one.message for one in said if one] == [
        f"Safe in {drive}, with what the PHI screen found in it and you chose to keep.",
        f"Safe in {drive}.",
    ]
    services.mirror.configure("off")
    assert services.mirror.state_of_dataset("pairs-0001") is None


def test_deleting_everything_names_the_datasets_in_the_mirror_and_leaves_them(
    mirror: Mirror, workspace: Workspace, drive: Path
) -> None:
    push(mirror, workspace, write_dataset(workspace))
    push(mirror, workspace, write_dataset(workspace, "torn-0002"))
    stored(drive, "*-train.jsonl", "datasets/torn-0002").write_bytes(b"")
    shutil.copytree(workspace.datasets, workspace.inbox)  # as a kill leaves it
    before = contents(drive)
    services = Services.open(workspace.root, mirror=str(drive))
    told = erase_everything(services, CONFIRMATION)
    [named] = [one for one in told.remains if one.startswith(f"In {drive}")]
    assert f"{PAIRS}, datasets/torn-0002." in named
    assert contents(drive) == before
    assert list(workspace.datasets.iterdir()) == list(workspace.inbox.iterdir()) == []

"""Checkpoints are whole or not there, and the newest whole one is found whatever happened."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medqlora.domain.artifacts import CheckpointOrigin
from medqlora.errors import CheckpointCorruptError, DiskFullError
from medqlora.persistence.checkpoints import MANIFEST, NUM_KEPT, CheckpointManager

FILES = (
    "adapter_model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
    MANIFEST,
)
ORIGIN = CheckpointOrigin(
    run_id="a-run", config={"rank": 4}, data={"train.jsonl": "0a"}, versions={"torch": "2.11.0"}
)


def stage(manager: CheckpointManager, step: int, *, without: str = "") -> None:
    staged = manager.staging / f"checkpoint-{step}"
    staged.mkdir(parents=True)
    for name in FILES[:-1]:
        if name != without:
            (staged / name).write_bytes(f"{name} of step {step}".encode() * 50)


def save(manager: CheckpointManager, step: int) -> None:
    stage(manager, step)
    manager.commit(step)


def kept(folder: Path) -> set[str]:
    return {path.name for path in (folder / "checkpoints").glob("*-*")}


@pytest.fixture
def manager(tmp_path: Path) -> CheckpointManager:
    manager = CheckpointManager(tmp_path / "checkpoints", run_id="a-run", origin=ORIGIN)
    manager.prepare()
    return manager


def test_without_checkpoints_there_is_none(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path / "never-made")
    assert manager.newest_valid() is None
    assert manager.newest_step() == 0


def test_the_newest_ones_are_kept(manager: CheckpointManager, tmp_path: Path) -> None:
    for step in (5, 10, 15):
        save(manager, step)
    assert kept(tmp_path) == {"checkpoint-10", "checkpoint-15"}
    assert len(kept(tmp_path)) == NUM_KEPT
    newest = manager.newest_valid()
    assert newest is not None
    assert newest.step == 15


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "one bit"])
def test_damage_to_any_file_is_found_and_the_one_before_is_used(
    manager: CheckpointManager, tmp_path: Path, name: str, damage: str
) -> None:
    save(manager, 5)
    save(manager, 10)
    file = tmp_path / "checkpoints" / "checkpoint-10" / name
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        flipped = bytes([data[0] ^ 1]) + data[1:]
        file.write_bytes({"empty": b"", "half": data[: len(data) // 2], "one bit": flipped}[damage])
    with pytest.raises(CheckpointCorruptError):
        manager.validate(10)
    newest = manager.newest_valid()
    assert newest is not None
    assert newest.step == 5
    assert (tmp_path / "checkpoints" / "damaged-10").is_dir()


def test_a_save_that_was_killed_is_not_a_checkpoint(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    save(manager, 5)
    staged = manager.staging / "checkpoint-10"
    staged.mkdir()
    (staged / "optimizer.pt").write_bytes(b"half")
    newest = manager.newest_valid()
    assert newest is not None
    assert newest.step == 5
    manager.prepare()
    assert list(manager.staging.iterdir()) == []


def test_a_stale_folder_with_a_higher_number_is_not_trusted(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    save(manager, 5)
    (tmp_path / "checkpoints" / "checkpoint-99999").mkdir()
    newest = manager.newest_valid()
    assert newest is not None
    assert newest.step == 5


def test_a_step_that_is_saved_again_replaces_the_old_one(manager: CheckpointManager) -> None:
    save(manager, 5)
    save(manager, 5)
    assert manager.validate(5).step == 5


def test_a_damaged_older_one_does_not_count_as_kept(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    save(manager, 5)
    save(manager, 10)
    (tmp_path / "checkpoints" / "checkpoint-10" / "rng_state.pth").write_bytes(b"")
    save(manager, 15)
    assert kept(tmp_path) == {"checkpoint-5", "damaged-10", "checkpoint-15"}


@pytest.mark.parametrize("name", FILES[:-1])
def test_a_checkpoint_without_a_file_that_a_resume_needs_is_not_one(
    manager: CheckpointManager, tmp_path: Path, name: str
) -> None:
    save(manager, 5)
    stage(manager, 10, without=name)
    with pytest.raises(CheckpointCorruptError, match="written without"):
        manager.commit(10)
    assert kept(tmp_path) == {"checkpoint-5"}


def test_it_says_what_it_was_made_from(manager: CheckpointManager) -> None:
    save(manager, 5)
    assert manager.validate(5).origin == ORIGIN


def test_every_bit_of_the_manifest_counts(manager: CheckpointManager, tmp_path: Path) -> None:
    save(manager, 5)
    manifest = tmp_path / "checkpoints" / "checkpoint-5" / MANIFEST
    whole = manifest.read_bytes()
    for place in range(0, len(whole), 7):
        manifest.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        with pytest.raises(CheckpointCorruptError):
            manager.validate(5)
    manifest.write_bytes(whole)
    assert manager.validate(5).step == 5


def test_a_checkpoint_of_another_run_is_neither_used_nor_rotated_away(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints"
    other = CheckpointManager(
        tmp_path / "other", run_id="b-run", origin=CheckpointOrigin(run_id="b-run")
    )
    for step in (3, 999):
        save(other, step)
        shutil.copytree(tmp_path / "other" / f"checkpoint-{step}", folder / f"checkpoint-{step}")
    for step in (5, 10, 15):
        save(manager, step)
    assert (folder / "damaged-3" / "optimizer.pt").is_file()
    assert (folder / "checkpoint-999" / "optimizer.pt").is_file()
    newest = manager.find_newest_valid()
    assert newest is not None
    assert newest.step == 15


def test_looking_for_the_newest_changes_nothing(manager: CheckpointManager, tmp_path: Path) -> None:
    save(manager, 5)
    (tmp_path / "checkpoints" / "checkpoint-9").mkdir()
    assert manager.find_newest_valid() is not None
    assert kept(tmp_path) == {"checkpoint-5", "checkpoint-9"}


def test_a_save_that_would_not_fit_is_refused_before_it_begins(manager: CheckpointManager) -> None:
    manager.check_space(1)
    with pytest.raises(DiskFullError, match="disk is full"):
        manager.check_space(2**60)

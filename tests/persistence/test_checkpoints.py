"""Checkpoints are whole or not there, and the newest whole one is found whatever happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from medqlora.errors import CheckpointCorruptError
from medqlora.persistence.checkpoints import MANIFEST, NUM_KEPT, CheckpointManager

FILES = ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", MANIFEST)


def save(manager: CheckpointManager, step: int) -> None:
    staged = manager.staging / f"checkpoint-{step}"
    staged.mkdir(parents=True)
    for name in FILES[:-1]:
        (staged / name).write_bytes(f"{name} of step {step}".encode() * 50)
    manager.commit(step)


@pytest.fixture
def manager(tmp_path: Path) -> CheckpointManager:
    manager = CheckpointManager(tmp_path / "checkpoints")
    manager.prepare()
    return manager


def test_without_checkpoints_there_is_none(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path / "never-made")
    assert manager.newest_valid() is None
    assert manager.newest_step() == 0


def test_the_newest_ones_are_kept(manager: CheckpointManager, tmp_path: Path) -> None:
    for step in (5, 10, 15):
        save(manager, step)
    kept = {path.name for path in (tmp_path / "checkpoints").glob("checkpoint-*")}
    assert kept == {"checkpoint-10", "checkpoint-15"}
    assert len(kept) == NUM_KEPT
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

"""CheckpointManager: checkpoints that are whole or not there, and the newest one that is whole.

    checkpoint-<step>/     what the trainer wrote, and manifest.json
    .staging/              what is being written
    damaged-<step>/        what was set aside because it is not what was written

The trainer writes into the staging folder. `commit` flushes its files, records their hashes in a
manifest and renames the folder into place, so that a kill at any moment leaves the earlier
checkpoints untouched. `newest_valid` checks every hash before it answers; a damaged checkpoint is
set aside, never used. Resuming itself is the trainer's work.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medqlora.domain.artifacts import CheckpointInfo, CheckpointOrigin
from medqlora.errors import CheckpointCorruptError, DiskFullError
from medqlora.persistence.atomic import sync_folder, translated_os_errors, write_text

MANIFEST = "manifest.json"
NUM_KEPT = 2

NEEDED = ("adapter_model", "optimizer", "scheduler", "rng_state", "trainer_state.json")
"""How the files begin without which a resume is not exact; the libraries go on without most of
them and say nothing."""

_PREFIX = "checkpoint-"
_SPACE_FACTOR = 1.5


class CheckpointManager:
    """The checkpoints of one run.

    Args:
        folder: Where they lie; made when missing.
        run_id: When given, checkpoints of other runs in that folder count as damaged.
        origin: What checkpoints written from now on are made from; recorded in them.
    """

    def __init__(
        self, folder: Path, *, run_id: str = "", origin: CheckpointOrigin | None = None
    ) -> None:
        self._folder = folder
        self._run_id = run_id
        self._origin = origin
        self.staging = folder / ".staging"

    def prepare(self) -> None:
        """Makes the folders and removes what an interrupted save left behind.

        Raises:
            StorageUnavailableError: The folder cannot be written.
            DiskFullError: No space is left.
        """
        with translated_os_errors(self._folder):
            shutil.rmtree(self.staging, ignore_errors=True)
            self.staging.mkdir(parents=True, exist_ok=True)
            probe = self.staging / ".writable"
            probe.touch()
            probe.unlink()

    def check_space(self, expected_bytes: int = 0) -> None:
        """Refuses to begin a save that would not fit beside the last one.

        Args:
            expected_bytes: Size of a checkpoint, for the first one.

        Raises:
            DiskFullError: Less is free than the last checkpoint took, and half again.
        """
        last = self.newest_step()
        size = max(_size(self._path(last)) if last else 0, expected_bytes)
        needed = int(size * _SPACE_FACTOR)
        if not needed:
            return
        with translated_os_errors(self._folder):
            free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise DiskFullError(
                f"The disk is full: the next checkpoint needs {_in_mb(needed)}, and "
                f"{_in_mb(free)} are free.",
                hint="Free some space (old runs can be deleted), then press Resume: the run goes "
                f"on from {f'step {last}' if last else 'its start'}.",
            )

    def commit(self, step: int) -> CheckpointInfo:
        """Makes the staged checkpoint of `step` a whole one, then keeps only the newest `NUM_KEPT`.

        Raises:
            CheckpointCorruptError: The trainer left out a file that a resume needs, or the disk did
                not keep what was written.
            DiskFullError: No space is left.
        """
        staged = self.staging / f"{_PREFIX}{step}"
        target = self._path(step)
        with translated_os_errors(self._folder):
            files = {
                file.relative_to(staged).as_posix(): {
                    "sha256": _flushed_sha256(file),
                    "bytes": file.stat().st_size,
                }
                for file in sorted(staged.rglob("*"))
                if file.is_file()
            }
            _refuse_incomplete(step, files)
            origin = {"origin": self._origin.to_json()} if self._origin else {}
            write_text(staged / MANIFEST, _sealed({"step": step, **origin, "files": files}))
            for folder in [path for path in staged.rglob("*") if path.is_dir()]:
                sync_folder(folder)
            sync_folder(staged)
            if target.exists():
                # The same step, written by an attempt that was resumed from before it. A rename
                # onto a folder is not possible, so a kill between these two leaves the earlier
                # checkpoints.
                target.rename(self.staging / "replaced")
            staged.rename(target)
            sync_folder(self._folder)
            shutil.rmtree(self.staging / "replaced", ignore_errors=True)
        saved = self.validate(step)
        self._rotate(newest=step)
        return saved

    def discard_staged(self) -> None:
        """Removes what a save that failed has written, which gives its space back."""
        for path in self.staging.glob(f"{_PREFIX}*"):
            shutil.rmtree(path, ignore_errors=True)

    def newest_step(self) -> int:
        """Step of the newest checkpoint by name, 0 when there is none."""
        return max(self._steps(), default=0)

    def newest_valid(self) -> CheckpointInfo | None:
        """The newest checkpoint whose files are the ones that were written.

        Newer ones that are damaged are set aside.

        Raises:
            StorageUnavailableError: A damaged one cannot be set aside.
        """
        found = self.find_newest_valid()
        with translated_os_errors(self._folder):
            for step in self._steps():
                if step > (found.step if found else 0):
                    self._set_aside(step)
        return found

    def find_newest_valid(self) -> CheckpointInfo | None:
        """The same without changing anything."""
        for step in sorted(self._steps(), reverse=True):
            try:
                return self.validate(step)
            except CheckpointCorruptError:
                continue
        return None

    def validate(self, step: int) -> CheckpointInfo:
        """The checkpoint of `step`, every file checked.

        Raises:
            CheckpointCorruptError: A file is missing or is not the one that was written.
        """
        path = self._path(step)
        try:
            manifest = _unsealed((path / MANIFEST).read_text(encoding="utf-8"))
            damaged = [
                name
                for name, about in manifest["files"].items()
                if (path / name).stat().st_size != about["bytes"]
                or _sha256(path / name) != about["sha256"]
            ]
            recorded = manifest.get("origin")
            origin = CheckpointOrigin.from_json(recorded) if recorded else None
            is_whole = manifest["step"] == step and not damaged
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            origin, is_whole = None, False
        if is_whole and self._run_id:
            is_whole = origin is not None and origin.run_id == self._run_id
        if not is_whole:
            raise CheckpointCorruptError(
                f"The checkpoint of step {step} is damaged.",
                hint="The one before it is used instead.",
            )
        return CheckpointInfo(path=str(path), step=step, size_bytes=_size(path), origin=origin)

    def _path(self, step: int) -> Path:
        return self._folder / f"{_PREFIX}{step}"

    def _steps(self) -> list[int]:
        names = [path.name.removeprefix(_PREFIX) for path in self._folder.glob(f"{_PREFIX}*")]
        return [int(name) for name in names if name.isdecimal()]

    def _rotate(self, *, newest: int) -> None:
        """Removes checkpoints of this run that have `NUM_KEPT` newer ones, each of them whole."""
        num_whole = 1
        for step in sorted((step for step in self._steps() if step < newest), reverse=True):
            if num_whole < NUM_KEPT:
                try:
                    self.validate(step)
                    num_whole += 1
                except CheckpointCorruptError:
                    self._set_aside(step)
            elif self._is_ours(step):
                # Out of the way in one step: a kill in the middle leaves nothing half removed.
                obsolete = self.staging / f"obsolete-{step}"
                self._path(step).rename(obsolete)
                shutil.rmtree(obsolete, ignore_errors=True)

    def _is_ours(self, step: int) -> bool:
        try:
            manifest = _unsealed((self._path(step) / MANIFEST).read_text(encoding="utf-8"))
            return not self._run_id or manifest["origin"]["run_id"] == self._run_id
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _set_aside(self, step: int) -> None:
        target = self._folder / f"damaged-{step}"
        shutil.rmtree(target, ignore_errors=True)
        self._path(step).rename(target)


def _refuse_incomplete(step: int, files: Mapping[str, Any]) -> None:
    missing = [one for one in NEEDED if not any(name.startswith(one) for name in files)]
    if missing:
        raise CheckpointCorruptError(
            f"The checkpoint of step {step} was written without {', '.join(missing)}, so no run "
            "could go on from it exactly.",
            hint="The one before it is kept. Press Resume; if it happens again, report it.",
        )


def _sealed(manifest: Mapping[str, Any]) -> str:
    """The manifest as text that holds its own hash."""
    body = json.dumps(manifest, ensure_ascii=False)
    digest = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps({"sha256": digest, **manifest}, ensure_ascii=False, indent=1) + "\n"


def _unsealed(text: str) -> dict[str, Any]:
    """The manifest that `_sealed` wrote.

    Raises:
        ValueError: Not a character of it may have changed.
    """
    manifest: dict[str, Any] = {k: v for k, v in json.loads(text).items() if k != "sha256"}
    if _sealed(manifest) != text:
        raise ValueError("the manifest was changed")
    return manifest


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flushed_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _in_mb(size: int) -> str:
    return f"{size / 2**20:.1f} MB"

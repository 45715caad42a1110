"""CheckpointManager: checkpoints that are whole or not there, and the newest one that is whole.

The trainer writes into a staging folder. `commit` flushes its files, records their hashes in a
manifest and renames the folder into place, so that a kill at any moment leaves the earlier
checkpoints untouched. `newest_valid` checks every hash before it answers; a damaged checkpoint is
set aside, never used. Resuming itself is the trainer's work.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from medqlora.domain.artifacts import CheckpointInfo
from medqlora.errors import CheckpointCorruptError, DiskFullError
from medqlora.persistence.atomic import sync_folder, translated_os_errors, write_json

MANIFEST = "manifest.json"
NUM_KEPT = 2

_PREFIX = "checkpoint-"
_SPACE_FACTOR = 1.5


class CheckpointManager:
    """The checkpoints of one run.

    Args:
        folder: Where they lie; made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.staging = folder / ".staging"

    def prepare(self) -> None:
        """Makes the folders and removes what an interrupted save left behind."""
        with translated_os_errors(self._folder):
            shutil.rmtree(self.staging, ignore_errors=True)
            self.staging.mkdir(parents=True)

    def check_space(self) -> None:
        """Refuses to begin a save that would not fit beside the last one.

        Raises:
            DiskFullError: Less is free than the last checkpoint took, and half again.
        """
        last = self.newest_step()
        if not last:
            return
        needed = int(_size(self._path(last)) * _SPACE_FACTOR)
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise DiskFullError(
                f"The next checkpoint needs {needed // 2**20} MB, and {free // 2**20} MB are free.",
                hint=f"Free some space, then press Resume: the run goes on from step {last}.",
            )

    def commit(self, step: int) -> CheckpointInfo:
        """Makes the staged checkpoint of `step` a whole one, then keeps only the newest `NUM_KEPT`.

        Raises:
            DiskFullError: No space is left.
        """
        staged = self.staging / f"{_PREFIX}{step}"
        target = self._path(step)
        with translated_os_errors(self._folder):
            files = {
                str(file.relative_to(staged)): {
                    "sha256": _flushed_sha256(file),
                    "bytes": file.stat().st_size,
                }
                for file in sorted(staged.rglob("*"))
                if file.is_file()
            }
            write_json(staged / MANIFEST, {"step": step, "files": files})
            if (
                target.exists()
            ):  # the same step, written by an earlier attempt that was resumed from before it
                shutil.rmtree(target)
            staged.rename(target)
            sync_folder(self._folder)
        self._rotate(keep_from=step)
        return CheckpointInfo(path=str(target), step=step, size_bytes=_size(target))

    def newest_step(self) -> int:
        """Step of the newest checkpoint by name, 0 when there is none."""
        return max(self._steps(), default=0)

    def newest_valid(self) -> CheckpointInfo | None:
        """The newest checkpoint whose files are the ones that were written.

        Damaged ones are set aside.
        """
        for step in sorted(self._steps(), reverse=True):
            try:
                return self.validate(step)
            except CheckpointCorruptError:
                self._quarantine(step)
        return None

    def validate(self, step: int) -> CheckpointInfo:
        """The checkpoint of `step`, every file checked.

        Raises:
            CheckpointCorruptError: A file is missing or is not the one that was written.
        """
        path = self._path(step)
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            damaged = [
                name
                for name, about in manifest["files"].items()
                if not (path / name).is_file() or _sha256(path / name) != about["sha256"]
            ]
            is_whole = manifest["step"] == step and not damaged
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            is_whole = False
        if not is_whole:
            raise CheckpointCorruptError(
                f"The checkpoint of step {step} is damaged.",
                hint="The one before it is used instead.",
            )
        return CheckpointInfo(path=str(path), step=step, size_bytes=_size(path))

    def _path(self, step: int) -> Path:
        return self._folder / f"{_PREFIX}{step}"

    def _steps(self) -> list[int]:
        names = [path.name.removeprefix(_PREFIX) for path in self._folder.glob(f"{_PREFIX}*")]
        return [int(name) for name in names if name.isdecimal()]

    def _rotate(self, *, keep_from: int) -> None:
        # Steps beyond the one just written belong to an attempt that a damaged checkpoint made
        # obsolete.
        older = sorted((step for step in self._steps() if step < keep_from), reverse=True)
        newer = [step for step in self._steps() if step > keep_from]
        for step in [*older[NUM_KEPT - 1 :], *newer]:
            shutil.rmtree(self._path(step))

    def _quarantine(self, step: int) -> None:
        target = self._folder / f"damaged-{step}"
        shutil.rmtree(target, ignore_errors=True)
        self._path(step).rename(target)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flushed_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

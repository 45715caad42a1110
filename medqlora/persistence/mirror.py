"""Mirror: copies of runs and datasets in a storage elsewhere, with which a new machine can go on.

    mirror.json                      says that this place is a mirror
    runs/<run_id>/                   a run's files, each with the beginning of its hash in its name
      state-<attempt>-<seq>.json     a manifest: which files, with size and hash, make a whole copy
    datasets/<dataset_id>/           a prepared dataset's files, in the same way

A manifest is written last, once every file that it names was read back, so that a copy that was
interrupted is never taken for whole. The newest copy and the newest one with
another checkpoint stay.
What is read here may have been written by anybody: names are ours or refused, sizes are bounded,
and nothing of a copy is used before all of it is there. When to copy is `runs.mirror_worker`'s.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medqlora.errors import DiskFullError, PersistenceError, StorageUnavailableError
from medqlora.persistence.atomic import write_json
from medqlora.persistence.checkpoints import NUM_KEPT, CheckpointManager
from medqlora.persistence.cloud import CloudStorageInterface, StoredFile
from medqlora.persistence.mirror_manifest import (
    DATASETS,
    MAX_MANIFEST_BYTES,
    RUNS,
    FolderCopy,
    MirroredState,
    NotOursError,
    from_json,
    is_beside,
    is_mirrored,
    manifest_of,
    stored_key,
    to_json,
)

MARKER = "mirror.json"

_MOST_LISTED = {RUNS: 100, DATASETS: 1000}
"""Runs, whose ids begin with their date, the latest; datasets, which are small, all but absurdly
many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A copy that was brought back.

    Attributes:
        state: Which one.
        num_passed_over: Newer copies that were not whole.
        num_left_out: Evaluations and other records of a run that were damaged.
    """

    state: MirroredState
    num_passed_over: int
    num_left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a mirror holds of one kind.

    Attributes:
        newest: Of each folder the newest copy that seems whole by its sizes, the latest first.
        damaged: Folders with something in them and no such copy.
    """

    newest: tuple[MirroredState, ...]
    damaged: tuple[str, ...]


class Mirror:
    """The copies in one storage.

    Args:
        storage: Where they are.
    """

    def __init__(self, storage: CloudStorageInterface) -> None:
        self._storage = storage

    def open(self, *, is_known: bool) -> None:
        """Makes sure that this place is the mirror and not the empty folder of a lost mount.

        Args:
            is_known: Whether it was opened from this workspace before; a new one is begun only
                when it was not.

        Raises:
            StorageUnavailableError: It cannot be reached, or has lost its marker.
        """
        if self._is_there():
            return
        if is_known:
            raise StorageUnavailableError(
                "The mirror's folder is empty: its drive is not connected, or it was cleared.",
                hint="Connect the drive; if it was cleared on purpose, set a new folder.",
            )
        self._put_json(MARKER, {"format": 1})

    def find(self) -> None:
        """Refuses a place that is no mirror, for whoever wants something from it.

        Raises:
            StorageUnavailableError: It cannot be reached, or nothing was ever copied there.
        """
        if not self._is_there():
            raise StorageUnavailableError(
                "There is no mirror at this place.",
                hint="See that the drive is connected and the address is the one used before.",
            )

    def _is_there(self) -> bool:
        try:
            self._storage.read(MARKER, limit=MAX_MANIFEST_BYTES)
        except StorageUnavailableError:
            raise
        except PersistenceError:
            return False
        return True

    def push(self, copy: FolderCopy) -> MirroredState:
        """Copies what is not there yet and then writes the manifest; older copies are thinned out.

        Doing it again after an interruption goes on where it was; for a whole copy it does nothing.

        Raises:
            StorageUnavailableError: The storage cannot be reached.
            PersistenceError: What was read back is not what was written.
            DiskFullError: No space is left there.
        """
        sizes = self._storage.sizes(copy.folder)
        states = self._readable(copy.folder, sizes)
        as_far = (one for one in states if (one.attempt, one.seq) == (copy.attempt, copy.seq))
        newest = next(as_far, None)
        about = (copy.step, copy.digest)
        is_same = newest is not None and (newest.step, newest.digest) == about
        if newest is not None and is_same and newest.fits(sizes):
            return newest
        version = newest.version + (0 if is_same else 1) if newest is not None else 0
        files = {
            path: self._kept(local, copy.folder, path, sizes) for path, local in copy.files.items()
        }
        state = MirroredState(
            folder=copy.folder,
            name=copy.name,
            attempt=copy.attempt,
            seq=copy.seq,
            step=copy.step,
            outcome=copy.outcome,
            at=datetime.now(UTC),
            files=files,
            version=version,
            digest=copy.digest,
        )
        self._put_json(state.key, to_json(state))
        # The copy is safe whether or not there was time to clear away the old ones.
        with suppress(StorageUnavailableError):
            self._rotate(state, [one for one in states if one.key != state.key])
        return state

    def is_settled(self, state: MirroredState) -> bool:
        """Whether all of a copy has left this machine, as far as the storage tells."""
        keys = [*(one.key for one in state.files.values()), state.key]
        return all(self._storage.is_settled(key) for key in keys)

    def listing(self, kind: str) -> Listing:
        """What there is of `RUNS` or `DATASETS`.

        Raises:
            StorageUnavailableError: The storage cannot be reached.
        """
        sizes = self._storage.sizes(kind)
        found = {"/".join(parts[:2]) for key in sizes if len(parts := key.split("/")) > 2}
        folders = sorted(filter(is_mirrored, found), reverse=True)[: _MOST_LISTED[kind]]
        newest = {
            folder: next((one for one in self._readable(folder, sizes) if one.has_own(sizes)), None)
            for folder in folders
        }
        there = [one for one in newest.values() if one is not None]
        return Listing(
            newest=tuple(sorted(there, key=lambda one: one.at, reverse=True)),
            damaged=tuple(folder for folder in folders if newest[folder] is None),
        )

    def fetch(self, folder: str, into: Path) -> Fetched:
        """Brings the newest whole copy of a folder into the new folder `into`.

        Raises:
            PersistenceError: There is no whole copy.
            StorageUnavailableError: The storage cannot be reached.
            DiskFullError: There is no space for it here.
        """
        sizes = self._storage.sizes(folder) if is_mirrored(folder) else {}
        manifests = [key for key in sizes if manifest_of(key)]
        states = self._readable(folder, sizes)
        trouble: PersistenceError | None = None
        for state in states:
            try:
                left_out = self._fetch_state(state, into)
            except DiskFullError:
                raise
            except PersistenceError as error:
                trouble = error
                continue
            newer = sum(key > state.key for key in manifests)
            return Fetched(state=state, num_passed_over=newer, num_left_out=left_out)
        if isinstance(trouble, StorageUnavailableError):
            raise trouble
        raise PersistenceError(
            "The mirror has no whole copy of this.",
            hint="Choose another one, or wait: a drive may show its files with a delay.",
        ) from trouble

    def _fetch_state(self, state: MirroredState, into: Path) -> int:
        """Brings a copy; returns how many records beside the run were damaged and are not there."""
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        free = shutil.disk_usage(into).free
        if free < state.size_bytes:
            raise DiskFullError(
                f"The copy needs {state.size_bytes // 2**20} MB, and {free // 2**20} MB are free.",
                hint="Free some space, then try again; the mirror is not touched.",
            )
        damaged = set()
        for path, stored in state.files.items():
            target = into / path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._storage.download(stored, target)
            except (StorageUnavailableError, DiskFullError):
                raise
            except PersistenceError:
                if not is_beside(path):
                    raise
                damaged.add(into.joinpath(*Path(path).parts[:3]))  # related/KIND/ID
        for folder in damaged:
            shutil.rmtree(folder)
        if state.step:
            CheckpointManager(into / "checkpoints").validate(state.step)
        return len(damaged)

    def _kept(self, local: Path, folder: str, path: str, sizes: Mapping[str, int]) -> StoredFile:
        """The stored copy of a file: one that an earlier push left and that is whole, or a new one.

        Every copy counts only once it was read back, whatever an earlier manifest says of it.
        """
        with local.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        key = stored_key(folder, path, digest)
        wanted = StoredFile(key=key, size_bytes=local.stat().st_size, sha256=digest)
        if sizes.get(key) == wanted.size_bytes and self._storage.verify(wanted):
            return wanted
        return self._storage.upload_file(local, key=key)

    def _readable(self, folder: str, sizes: Mapping[str, int]) -> list[MirroredState]:
        """The copies of a folder whose manifests are whole, newest first."""
        found = []
        for key in sorted(sizes, reverse=True):
            if manifest_of(key) == folder and sizes[key] <= MAX_MANIFEST_BYTES:
                with suppress(NotOursError):
                    state = from_json(self._storage.read(key, limit=MAX_MANIFEST_BYTES), folder)
                    found += [state] if state.key == key else []
        return found

    def _rotate(self, state: MirroredState, others: list[MirroredState]) -> None:
        """Removes what neither `state` nor the newest copy with another checkpoint needs."""
        present = self._storage.sizes(state.folder)
        if any(manifest_of(key) and key > state.key for key in present):
            return  # another machine has gone on with it
        kept = [state]
        for one in others:
            if len(kept) < NUM_KEPT and one.step != state.step:
                kept.append(one)
        needed = {one.key for one in kept}
        needed |= {file.key for one in kept for file in one.files.values()}
        gone = [key for key in present if key not in needed]
        # Manifests first: what they name must be there as long as they are.
        for key in sorted(gone, key=lambda key: not manifest_of(key)):
            self._storage.remove(key)

    def _put_json(self, key: str, value: Mapping[str, Any]) -> None:
        with tempfile.TemporaryDirectory(prefix="medqlora-mirror-") as folder:
            file = Path(folder) / "value.json"
            write_json(file, value)
            self._storage.upload_file(file, key=key)

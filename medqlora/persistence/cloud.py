"""CloudStorageInterface: files in a storage elsewhere, each read back before it counts as kept.

A storage is one row of `BACKENDS`: a folder, a folder inside a mount such as Google Drive on
Colab, or whatever fsspec can open. This copies what it is told to, one file at a time; how a user
names a storage is `storage_address`'s, what a run needs elsewhere `mirror`'s work. Nothing here
logs in anywhere: each storage finds its credentials where its own tools do.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from medqlora.errors import DiskFullError, PersistenceError, StorageUnavailableError
from medqlora.persistence.folders import LocalFolder, MountedFolder
from medqlora.persistence.fsspec_storage import FsspecStorage

CHUNK_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file that was read back from the storage and found whole.

    Attributes:
        key: Its name there, with forward slashes.
        size_bytes: Its size.
        sha256: Hash of its bytes.
    """

    key: str
    size_bytes: int
    sha256: str


class StorageBackend(Protocol):
    """A place that keeps files by key. Any of these may raise an OSError, as files do."""

    def write(self, key: str) -> AbstractContextManager[IO[bytes]]:
        """A new file; one that is there is replaced once the new one is closed."""
        ...

    def read(self, key: str) -> AbstractContextManager[IO[bytes]]:
        """The bytes that are there now."""
        ...

    def sizes(self, prefix: str) -> Mapping[str, int]:
        """Size in bytes of every file whose key begins with the folder `prefix`, by key."""
        ...

    def remove(self, key: str) -> None:
        """Removes a file."""
        ...

    def is_settled(self, key: str) -> bool:
        """Whether the file has left this machine, as far as the storage tells."""
        ...


BACKENDS: dict[str, Callable[[str], StorageBackend]] = {
    "local": LocalFolder,
    "file": LocalFolder,
    "mounted": MountedFolder,
    "fsspec": FsspecStorage,
}
"""How a backend is made from its location, by name."""


class CloudStorageInterface:
    """Files in a storage elsewhere.

    Args:
        backend: A name of `BACKENDS`.
        location: Where in it; for folders their path.
        on_progress: Called whenever something moves; who hears nothing for long may take the
            storage for hung.

    Raises:
        StorageUnavailableError: There is no such backend, or it cannot be reached.
    """

    def __init__(
        self, backend: str, location: str, *, on_progress: Callable[[], None] = lambda: None
    ) -> None:
        if backend not in BACKENDS:
            raise StorageUnavailableError(
                f"There is no storage called {backend!r}.",
                hint=f"Choose one of: {', '.join(BACKENDS)}.",
            )
        self._on_progress = on_progress
        with _translated():
            self._backend = BACKENDS[backend](location)

    def upload_file(self, path: Path, *, key: str | None = None) -> StoredFile:
        """Keeps a copy of a file and reads it back to be sure.

        Args:
            path: The file.
            key: Its name in the storage; the file's own when not given.

        Raises:
            PersistenceError: The file is missing, the key is not one, or the copy is not the file.
            StorageUnavailableError: The storage cannot be reached.
            DiskFullError: No space is left there.
        """
        name = checked_key(key if key is not None else path.name)
        if not path.is_file():
            raise PersistenceError(
                f"There is no file {path}.", hint="Choose a file that is there; folders are zipped."
            )
        with (
            path.open("rb") as source,
            _translated(),
            _no_place(),
            self._backend.write(name) as target,
        ):
            stored = self._copied(source, target, key=name, limit=None)
        if not self.verify(stored):
            raise PersistenceError(
                f"The stored copy of {name} is damaged.",
                hint="Upload it again; the original was not touched.",
            )
        return stored

    def download(self, stored: StoredFile, target: Path) -> Path:
        """Copies a file back to `target`, which is there once the bytes are the ones uploaded.

        Raises:
            PersistenceError: It is missing or damaged, or something is at `target`.
            StorageUnavailableError: The storage cannot be reached.
            DiskFullError: No space is left for it.
        """
        key = checked_key(stored.key)
        if target.exists():
            raise PersistenceError(
                f"{target.name} is there already.", hint="Nothing was overwritten."
            )
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
            part = Path(folder) / "part"
            with _translated(), self._backend.read(key) as source, part.open("wb") as copy:
                # One byte more than expected is enough to know that it is another file.
                found = self._copied(source, copy, key=key, limit=stored.size_bytes + 1)
                copy.flush()
                os.fsync(copy.fileno())
            if found != stored:
                raise PersistenceError(
                    f"The stored copy of {key} is damaged.", hint="Use an older copy."
                )
            part.rename(target)
        return target

    def verify(self, stored: StoredFile) -> bool:
        """Whether the bytes that are there are those that were uploaded.

        Raises:
            PersistenceError: There is no such file.
            StorageUnavailableError: The storage cannot be reached.
        """
        with _translated(), self._backend.read(checked_key(stored.key)) as source:
            found = self._copied(source, None, key=stored.key, limit=stored.size_bytes + 1)
        return found == stored

    def read(self, key: str, *, limit: int) -> bytes:
        """The first `limit` bytes of a small file.

        Raises:
            PersistenceError: There is no such file.
            StorageUnavailableError: The storage cannot be reached.
        """
        self._on_progress()
        with _translated(), self._backend.read(checked_key(key)) as source:
            return source.read(limit)

    def sizes(self, prefix: str = "") -> Mapping[str, int]:
        """Size in bytes of every file in the folder `prefix`, by key, sorted.

        Raises:
            StorageUnavailableError: The storage cannot be reached.
        """
        self._on_progress()
        with _translated():
            found = self._backend.sizes(prefix)
        return {key: found[key] for key in sorted(found)}

    def remove(self, key: str) -> None:
        """Removes a file.

        Raises:
            StorageUnavailableError: The storage cannot be reached.
        """
        self._on_progress()
        with _translated():
            self._backend.remove(checked_key(key))

    def is_settled(self, key: str) -> bool:
        """Whether a file has left this machine, as far as the storage tells."""
        with _translated():
            return self._backend.is_settled(checked_key(key))

    def _copied(
        self, source: IO[bytes], target: IO[bytes] | None, *, key: str, limit: int | None
    ) -> StoredFile:
        """Reads to the end, or to `limit` bytes; says what went by."""
        digest = hashlib.sha256()
        size = 0
        while limit is None or size < limit:
            self._on_progress()
            chunk = source.read(CHUNK_BYTES if limit is None else min(CHUNK_BYTES, limit - size))
            if not chunk:
                break
            digest.update(chunk)
            size += len(chunk)
            if target is not None:
                target.write(chunk)
        self._on_progress()
        return StoredFile(key=key, size_bytes=size, sha256=digest.hexdigest())


_KEY_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


def checked_key(key: str) -> str:
    """`key`, if it stays inside the storage whatever the storage is.

    Raises:
        PersistenceError: It does not.
    """
    parts = key.split("/")
    if len(key) > 600 or not all(_KEY_PART.fullmatch(part) for part in parts):
        raise PersistenceError(
            f"{key[:80]!r} cannot be the name of a stored file.",
            hint="Use a relative path without dots in front, such as runs/adapter.zip.",
        )
    return str(PurePosixPath(key))


@contextmanager
def _no_place() -> Iterator[None]:
    """Nothing can be missing for a new file but the place itself."""
    try:
        yield
    except FileNotFoundError as error:
        raise StorageUnavailableError(
            "There is no such folder or bucket.",
            hint="Make it first, or see that the address is right.",
        ) from error


@contextmanager
def _translated() -> Iterator[None]:
    """Turns the errors of files, which is what all backends raise, into ours, once."""
    try:
        yield
    except FileNotFoundError as error:
        raise PersistenceError(
            "A file is missing in the storage.", hint="Choose one of those that sizes() lists."
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                "There is no space left for the copy.",
                hint="Free some space there; what is on this machine is not touched.",
            ) from error
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise StorageUnavailableError(
            f"The storage does not answer: {reason}.",
            hint="It is tried again by itself; see that it is mounted or that the network works.",
        ) from error

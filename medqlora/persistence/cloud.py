"""CloudStorageInterface: copies of files in a folder elsewhere, each checked by its SHA-256.

A backend is one row of `BACKENDS`: a local folder, or a folder inside a mount such as Google Drive
on Colab. So far this copies what it is told to, one file at a time; mirroring a workspace by itself
and going on after a lost connection come later. Nothing here logs in anywhere or encrypts.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from medqlora.errors import PersistenceError, StorageUnavailableError
from medqlora.persistence.atomic import translated_os_errors, write_text

_HASH_SUFFIX = ".sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file in the storage.

    Attributes:
        key: Its name there, with forward slashes.
        size_bytes: Its size.
        sha256: Hash of what was uploaded.
    """

    key: str
    size_bytes: int
    sha256: str


class StorageBackend(Protocol):
    """A place that keeps files by key. Raises StorageUnavailableError and DiskFullError."""

    def put(self, source: Path, key: str, *, sha256: str) -> None:
        """Keeps a copy of `source` and its hash; a file that is there is replaced in one step."""
        ...

    def get(self, key: str, target: Path) -> None:
        """Copies the file to `target`."""
        ...

    def files(self) -> tuple[StoredFile, ...]:
        """All files, sorted by key."""
        ...

    def actual_sha256(self, key: str) -> str:
        """Hash of the bytes that are there now."""
        ...


class LocalFolder:
    """A folder of this machine, made when missing.

    Args:
        location: The folder.
    """

    def __init__(self, location: str) -> None:
        self._root = Path(location).expanduser().resolve()
        with translated_os_errors(self._root):
            self._root.mkdir(parents=True, exist_ok=True)

    def put(self, source: Path, key: str, *, sha256: str) -> None:
        """See `StorageBackend`."""
        target = self._root / key
        with translated_os_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(source, target)
        write_text(target.with_name(target.name + _HASH_SUFFIX), sha256 + "\n")

    def get(self, key: str, target: Path) -> None:
        """See `StorageBackend`."""
        with translated_os_errors(target.parent):
            _copy(self._root / key, target)

    def files(self) -> tuple[StoredFile, ...]:
        """See `StorageBackend`; files that others put there, without a hash, are not listed."""
        with translated_os_errors(self._root):
            hashes = sorted(self._root.rglob(f"*{_HASH_SUFFIX}"))
            found = [(one.with_name(one.name.removesuffix(_HASH_SUFFIX)), one) for one in hashes]
            return tuple(
                StoredFile(
                    key=file.relative_to(self._root).as_posix(),
                    size_bytes=file.stat().st_size,
                    sha256=recorded.read_text(encoding="utf-8").strip(),
                )
                for file, recorded in found
                if file.is_file()
            )

    def actual_sha256(self, key: str) -> str:
        """See `StorageBackend`."""
        with translated_os_errors(self._root):
            return _sha256(self._root / key)


class MountedFolder(LocalFolder):
    """A folder inside a mount, such as `/content/drive/MyDrive/medqlora`.

    A mount that is gone leaves an ordinary folder behind; what is written there is lost with the
    machine, so it is refused.

    Args:
        location: The folder; made when missing.
    """

    def __init__(self, location: str) -> None:
        path = Path(location).expanduser().absolute()
        if not any(os.path.ismount(one) for one in (path, *path.parents) if one != Path("/")):
            raise StorageUnavailableError(
                f"{path} is not inside a mounted drive.",
                hint="On Colab run: from google.colab import drive; drive.mount('/content/drive')",
            )
        super().__init__(location)


BACKENDS: dict[str, Callable[[str], StorageBackend]] = {
    "local": LocalFolder,
    "mounted": MountedFolder,
}
"""How a backend is made from its location, by name."""


class CloudStorageInterface:
    """Files in a storage elsewhere.

    Args:
        backend: A name of `BACKENDS`.
        location: Where in it; for folders their path.

    Raises:
        StorageUnavailableError: There is no such backend, or it cannot be reached.
    """

    def __init__(self, backend: str, location: str) -> None:
        if backend not in BACKENDS:
            raise StorageUnavailableError(
                f"There is no storage called {backend!r}.",
                hint=f"Choose one of: {', '.join(BACKENDS)}.",
            )
        self._backend = BACKENDS[backend](location)

    def upload_file(self, path: Path, *, key: str | None = None) -> StoredFile:
        """Keeps a copy of a file and reads it back to be sure.

        Args:
            path: The file.
            key: Its name in the storage; the file's own when not given.

        Raises:
            PersistenceError: The file is missing, the key is not one, or the copy is not the file.
            DiskFullError: No space is left.
        """
        name = _checked_key(key if key is not None else path.name)
        if not path.is_file():
            raise PersistenceError(
                f"There is no file {path}.", hint="Choose a file that is there; folders are zipped."
            )
        digest = _sha256(path)
        self._backend.put(path, name, sha256=digest)
        self._refuse_damaged(name, digest)
        return StoredFile(key=name, size_bytes=path.stat().st_size, sha256=digest)

    def download(self, key: str, target: Path) -> Path:
        """Copies a file back to `target`, once its bytes are those that were uploaded.

        Raises:
            PersistenceError: There is no such file, or it is damaged.
            DiskFullError: No space is left.
        """
        stored = self._stored(key)
        self._refuse_damaged(stored.key, stored.sha256)
        self._backend.get(stored.key, target)
        return target

    def list(self) -> tuple[StoredFile, ...]:
        """All files that were uploaded, sorted by key."""
        return self._backend.files()

    def verify(self, key: str) -> bool:
        """Whether the bytes that are there are those that were uploaded.

        Raises:
            PersistenceError: There is no such file.
        """
        stored = self._stored(key)
        return self._backend.actual_sha256(stored.key) == stored.sha256

    def _stored(self, key: str) -> StoredFile:
        by_key: Mapping[str, StoredFile] = {one.key: one for one in self._backend.files()}
        name = _checked_key(key)
        if name not in by_key:
            raise PersistenceError(
                f"There is no file {name} in the storage.",
                hint="Choose one of those that list() gives.",
            )
        return by_key[name]

    def _refuse_damaged(self, key: str, sha256: str) -> None:
        if self._backend.actual_sha256(key) != sha256:
            raise PersistenceError(
                f"The stored copy of {key} is damaged.",
                hint="Upload it again; the original was not touched.",
            )


def _checked_key(key: str) -> str:
    parts = PurePosixPath(key).parts
    is_fine = bool(parts) and not key.startswith("/") and "\\" not in key and "\0" not in key
    if not is_fine or any(part.startswith(".") for part in parts) or key.endswith(_HASH_SUFFIX):
        raise PersistenceError(
            f"{key[:80]!r} cannot be the name of a stored file.",
            hint="Use a relative path without dots in front, such as runs/adapter.zip.",
        )
    return str(PurePosixPath(key))


def _copy(source: Path, target: Path) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".copy-")
    try:
        with os.fdopen(handle, "wb") as copy, source.open("rb") as original:
            shutil.copyfileobj(original, copy)
            copy.flush()
            os.fsync(copy.fileno())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

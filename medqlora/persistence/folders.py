"""Folders as storages for `persistence.cloud`: of this machine, or inside a mount such as Drive."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from medqlora.errors import StorageUnavailableError

_DRIVE_ID = "user.drive.id"
"""What Drive's mount calls a file's id. Until a file is uploaded the id begins with `local-`, say
those who use it; Google does not document it."""


class LocalFolder:
    """A folder of this machine, made when missing; its parent has to be there.

    Args:
        location: The folder.
    """

    def __init__(self, location: str) -> None:
        self._root = Path(location).expanduser().absolute()

    @contextmanager
    def write(self, key: str) -> Iterator[IO[bytes]]:
        """See `StorageBackend`."""
        if not self._root.parent.is_dir():  # a drive that is not mounted must not be made up
            raise StorageUnavailableError(
                f"The folder {self._root.parent} is not there.",
                hint="Connect its drive, or make the folder first.",
            )
        self._root.mkdir(exist_ok=True)
        target = self._root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".copy-")
        try:
            with os.fdopen(handle, "wb") as copy:
                yield copy
                copy.flush()
                os.fsync(copy.fileno())
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    @contextmanager
    def read(self, key: str) -> Iterator[IO[bytes]]:
        """See `StorageBackend`; the bytes come from the disk where the system allows to ask."""
        with (self._root / key).open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            yield file

    def sizes(self, prefix: str) -> Mapping[str, int]:
        """See `StorageBackend`; what an interrupted copy left behind is not listed."""
        found: dict[str, int] = {}
        for folder, _, names in os.walk(self._root / prefix, onerror=_refuse_all_but_missing):
            for name in names:
                path = Path(folder) / name
                if not name.startswith("."):
                    found[path.relative_to(self._root).as_posix()] = path.stat().st_size
        return found

    def remove(self, key: str) -> None:
        """See `StorageBackend`; folders that are empty then go too."""
        path = self._root / key
        path.unlink(missing_ok=True)
        for folder in path.relative_to(self._root).parents[:-1]:
            try:
                (self._root / folder).rmdir()
            except OSError:
                return  # not empty

    def is_settled(self, key: str) -> bool:
        """See `StorageBackend`: Drive's mount tells, by the id that it gives a file."""
        try:
            return not os.getxattr(self._root / key, _DRIVE_ID).startswith(b"local-")
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.ENOTSUP):
                return True  # not Drive's mount
            raise


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


def _refuse_all_but_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error

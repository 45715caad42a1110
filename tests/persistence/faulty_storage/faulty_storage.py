"""A storage that misbehaves as told: `faulty:///folder`, for tests, found by fsspec as a plugin.

It keeps files in a real folder. The file that the variable FAULTY_STORAGE names holds one word,
read anew at every call, so that a test can break and mend it while other processes use it.
"""

import errno
import os
import time
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

ALWAYS = {"enotconn": errno.ENOTCONN, "eio": errno.EIO}
ON_WRITE = {"full": errno.ENOSPC, "read-only": errno.EROFS}


def fault() -> str:
    try:
        return Path(os.environ["FAULTY_STORAGE"]).read_text(encoding="utf-8")
    except (KeyError, FileNotFoundError):
        return ""


def fail(number: int) -> None:
    raise OSError(number, os.strerror(number))


class FaultyFile:
    """A file being written."""

    def __init__(self, file) -> None:
        self._file = file
        self._is_torn = False

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def write(self, data: bytes) -> int:
        word = fault()
        if word == "hang":
            time.sleep(3600)
        if word == "slow":
            time.sleep(0.3)
        if word == "zero" or self._is_torn:
            return len(data)  # says that it has written
        if word in ("tear", "silent-tear"):
            self._file.write(data[: len(data) // 2])
            self._is_torn = True
            if word == "tear":
                self._file.flush()
                fail(errno.EIO)
            return len(data)
        return self._file.write(data)


class FaultyFileSystem(LocalFileSystem):
    """See the module."""

    protocol = "faulty"

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).removeprefix("faulty://"))

    def _open(self, path, mode="rb", **options):
        word = fault()
        if word in ALWAYS:
            fail(ALWAYS[word])
        if "w" not in mode:
            return super()._open(path, mode, **options)
        if word in ON_WRITE:
            fail(ON_WRITE[word])
        return FaultyFile(super()._open(path, mode, **options))

    def find(self, path, **options):
        if fault() in ALWAYS:
            fail(ALWAYS[fault()])
        return super().find(path, **options)

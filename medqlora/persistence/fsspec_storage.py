"""FsspecStorage: whatever fsspec can open as a storage for `persistence.cloud`.

`s3://`, `gs://`, `hf://` and the many others. fsspec comes with the datasets package; what speaks
to a certain service is a package of its own, and who names such an address is told which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import IO

from medqlora.errors import StorageUnavailableError

_RELEASED_TOGETHER = ("s3fs", "gcsfs")
"""Packages that ask for the fsspec of their own version number."""


class FsspecStorage:
    """A folder of a storage that fsspec knows.

    Args:
        location: Its URL, such as `s3://bucket/folder`.
    """

    def __init__(self, location: str) -> None:
        from fsspec.core import url_to_fs

        self._fs, root = url_to_fs(location, use_listings_cache=False, skip_instance_cache=True)
        self._root = root.rstrip("/")

    @staticmethod
    def check_available(scheme: str) -> None:
        """Refuses a scheme that nothing here can open, without importing what opens it.

        Raises:
            StorageUnavailableError: It is unknown, or its package is missing.
        """
        from fsspec import available_protocols
        from fsspec.registry import known_implementations

        if scheme not in available_protocols():
            raise StorageUnavailableError(
                f"{scheme}:// is no storage that this app can open.",
                hint="Give a folder, or an address such as s3://bucket/folder.",
            )
        module = known_implementations.get(scheme, {}).get("class", "fsspec").partition(".")[0]
        if find_spec(module) is None:
            pin = f"=={version('fsspec')}" if module in _RELEASED_TOGETHER else ""
            raise StorageUnavailableError(
                f"{scheme}:// needs the Python package {module}, which is not installed.",
                hint=f"Install it with: pip install {module}{pin}",
            )

    @contextmanager
    def write(self, key: str) -> Iterator[IO[bytes]]:
        """See `StorageBackend`."""
        path = self._path(key)
        try:
            file = self._fs.open(path, "wb")
        except FileNotFoundError:
            # Storages with real folders; on the others this would make up a bucket.
            if not self._fs.exists(self._root):
                raise
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            file = self._fs.open(path, "wb")
        with file:
            yield file

    @contextmanager
    def read(self, key: str) -> Iterator[IO[bytes]]:
        """See `StorageBackend`."""
        with self._fs.open(self._path(key), "rb") as file:
            yield file

    def sizes(self, prefix: str) -> Mapping[str, int]:
        """See `StorageBackend`."""
        self._fs.invalidate_cache()
        try:
            found = self._fs.find(self._path(prefix).rstrip("/"), detail=True)
        except FileNotFoundError:
            return {}
        start = f"{self._root}/"
        return {
            name.removeprefix(start): int(about["size"] or 0)
            for name, about in found.items()
            if name.startswith(start)
        }

    def remove(self, key: str) -> None:
        """See `StorageBackend`."""
        try:
            self._fs.rm_file(self._path(key))
        except FileNotFoundError:
            return

    def is_settled(self, key: str) -> bool:
        """See `StorageBackend`: what such a storage has taken, it has."""
        return True

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

"""Compressed files, .gz and .zip, unpacked into a temporary folder within limits.

Nothing keeps the name or place that an archive gives it, so none can write outside that folder.
"""

from __future__ import annotations

import gzip
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from medqlora.data.formats.rows import MAX_FILE_BYTES, Source, refused

_MAX_FILES = 20_000
_BLOCK = 1 << 20
_LIMIT = f"{MAX_FILE_BYTES / 1e6:,.0f} MB"
_SPLIT_IT = "Unpack it yourself and give the one table you need."
_DAMAGED = "It may be damaged or cut off; make or download it again."


def unpacked_gzip(source: Source, folder: Path) -> Source:
    """The file inside a .gz.

    Raises:
        DataError: It is damaged or unpacks to too much.
    """
    target = folder / "unpacked"
    try:
        with gzip.open(source.path, "rb") as packed:
            _copy(source, packed, target, MAX_FILE_BYTES)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise refused(source, "is a .gz file that cannot be unpacked.", hint=_DAMAGED) from error
    return Source(target, source.name)


def unpacked_zip(source: Source, folder: Path) -> list[Source]:
    """The files inside a .zip; folders, links and what systems hide in archives are passed over.

    Raises:
        DataError: It is damaged, locked, empty or unpacks to too much.
    """
    try:
        with zipfile.ZipFile(source.path) as archive:
            members = [info for info in archive.infolist() if _is_data(info)]
            _check(source, members)
            return list(_extracted(source, archive, members, folder))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise refused(source, "is a .zip file that cannot be unpacked.", hint=_DAMAGED) from error


def _is_data(info: zipfile.ZipInfo) -> bool:
    parts = Path(info.filename).parts
    is_hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts if part != "..")
    return not (info.is_dir() or is_hidden or stat.S_ISLNK(info.external_attr >> 16))


def _check(source: Source, members: Sequence[zipfile.ZipInfo]) -> None:
    if not members:
        raise refused(source, "is a .zip file without any files in it.", hint=_DAMAGED)
    if len(members) > _MAX_FILES:
        raise refused(
            source,
            f"holds {len(members):,} files; at most {_MAX_FILES:,} are read.",
            hint=_SPLIT_IT,
        )
    if sum(info.file_size for info in members) > MAX_FILE_BYTES:
        raise refused(source, f"unpacks to more than {_LIMIT}.", hint=_SPLIT_IT)
    if any(info.flag_bits & 1 for info in members):
        raise refused(source, "is locked with a password.", hint=_SPLIT_IT)


def _extracted(
    source: Source, archive: zipfile.ZipFile, members: Iterable[zipfile.ZipInfo], folder: Path
) -> Iterator[Source]:
    left = MAX_FILE_BYTES
    for index, info in enumerate(members):
        target = folder / str(index)
        with archive.open(info) as packed:
            left -= _copy(source, packed, target, left)
        yield Source(target, Path(info.filename).name)


def _copy(source: Source, packed: IO[bytes] | gzip.GzipFile, target: Path, limit: int) -> int:
    size = 0
    with target.open("wb") as file:
        while block := packed.read(_BLOCK):
            size += len(block)
            if size > limit:
                raise refused(source, f"unpacks to more than {_LIMIT}.", hint=_SPLIT_IT)
            file.write(block)
    return size

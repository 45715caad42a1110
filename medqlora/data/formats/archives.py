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

from medqlora.data.formats.rows import Source, most_unpacked, refused
from medqlora.errors import DataError

_MAX_FILES = 20_000
_MAX_LIST_BYTES = 16_000_000
_MAX_TAIL = 66_000  # the last record, with the longest comment that may follow it
_BLOCK = 1 << 20
_SPLIT_IT = "Unpack it yourself and give the one table you need."
_DAMAGED = "It may be damaged or cut off; make or download it again."


def open_zip(source: Source) -> zipfile.ZipFile:
    """The archive, whose list of files is known to be short enough to be held in memory.

    Raises:
        DataError: The list is longer.
        BadZipFile: It is damaged.
    """
    if _size_of_list(source) > _MAX_LIST_BYTES:
        raise _too_many_files(source)
    return zipfile.ZipFile(source.path)


def unpacked_gzip(source: Source, folder: Path, *, limit: int | None = None) -> Source:
    """The file inside a .gz.

    Args:
        source: The .gz.
        folder: Where to unpack it to.
        limit: Most bytes that it may unpack to; `most_unpacked` of its size when None.

    Raises:
        DataError: It is damaged or unpacks to too much.
    """
    target = folder / f"{source.path.name}-unpacked"
    try:
        with gzip.open(source.path, "rb") as packed:
            _copy(source, packed, target, limit=_limit(source) if limit is None else limit)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise refused(source, "is a .gz file that cannot be unpacked.", hint=_DAMAGED) from error
    return Source(target, source.name)


def unpacked_zip(source: Source, folder: Path) -> Iterator[Source]:
    """The files inside a .zip, each .gz among them unpacked too.

    Folders, links and what systems hide in archives are passed over.

    Raises:
        DataError: It is damaged, locked, empty or unpacks to too much.
    """
    try:
        with open_zip(source) as archive:
            members = [info for info in archive.infolist() if _is_data(info)]
            _check(source, members)
            yield from _extracted(source, archive, members, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise refused(source, "is a .zip file that cannot be unpacked.", hint=_DAMAGED) from error


def _is_data(info: zipfile.ZipInfo) -> bool:
    parts = Path(info.filename).parts
    is_hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts if part != "..")
    is_named = bool(info.filename)  # else asking whether it is a folder fails
    return is_named and not (info.is_dir() or is_hidden or stat.S_ISLNK(info.external_attr >> 16))


def _check(source: Source, members: Sequence[zipfile.ZipInfo]) -> None:
    if not members:
        raise refused(source, "is a .zip file without any files in it.", hint=_DAMAGED)
    if len(members) > _MAX_FILES:
        raise _too_many_files(source)
    if sum(info.file_size for info in members) > _limit(source):
        raise _too_much(source)
    if any(info.flag_bits & 1 for info in members):
        raise refused(source, "is locked with a password.", hint=_SPLIT_IT)


def _extracted(
    source: Source, archive: zipfile.ZipFile, members: Iterable[zipfile.ZipInfo], folder: Path
) -> Iterator[Source]:
    left = _limit(source)
    for index, info in enumerate(members):
        target = folder / str(index)
        with archive.open(info) as packed:
            left -= _copy(source, packed, target, limit=left)
        member = Source(target, Path(info.filename).name)
        if is_gzip(member):
            member = unpacked_gzip(member, folder, limit=left)
            left -= member.path.stat().st_size
            target.unlink()
        yield member


def is_gzip(source: Source) -> bool:
    """Whether a file is a .gz."""
    with source.path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _copy(source: Source, packed: IO[bytes] | gzip.GzipFile, target: Path, *, limit: int) -> int:
    size = 0
    with target.open("wb") as file:
        while block := packed.read(_BLOCK):
            size += len(block)
            if size > limit:
                raise _too_much(source)
            file.write(block)
    return size


def _limit(source: Source) -> int:
    return most_unpacked(source.path.stat().st_size)


def _too_much(source: Source) -> DataError:
    limit = f"{_limit(source) / 1e6:,.0f} MB"
    return refused(source, f"unpacks to more than {limit}.", hint=_SPLIT_IT)


def _too_many_files(source: Source) -> DataError:
    what = f"holds too many files; at most {_MAX_FILES:,} are read."
    return refused(source, what, hint=_SPLIT_IT)


def _size_of_list(source: Source) -> int:
    """Bytes of the archive's list of files, as its last record says; 0 where there is none."""
    size = source.path.stat().st_size
    with source.path.open("rb") as file:
        file.seek(max(0, size - _MAX_TAIL))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    large = tail.rfind(b"PK\x06\x06")  # the record of archives with more than 65,535 files
    if large >= 0 and len(tail) >= large + 48:
        return int.from_bytes(tail[large + 40 : large + 48], "little")
    return int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0

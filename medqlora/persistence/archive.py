"""An adapter's zip file: what is packed into one, and which of a foreign one's files may come out.

Of a foreign one everything is decided from the list at the archive's end before a byte is unpacked,
and the bytes are counted again while they come. What the two files say is for `foreign_adapter`.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from medqlora.errors import ModelError
from medqlora.persistence.adapters import CARD, CONFIG, METADATA, WEIGHTS
from medqlora.persistence.atomic import translated_os_errors

WAY_OUT: Final = "Use a zip file with adapter_config.json and adapter_model.safetensors alone."

MAX_CONFIG_BYTES: Final = 65_536
MAX_WEIGHTS_BYTES: Final = 2_000_000_000
MAX_RATIO: Final = 20
"""Weights hardly shrink; text of a configuration shrinks to a fifth."""
MAX_ENTRIES: Final = 16
MAX_LIST_BYTES: Final = 65_536

_LIMITS: Final = {CONFIG: MAX_CONFIG_BYTES, WEIGHTS: MAX_WEIGHTS_BYTES}
_LEFT_INSIDE: Final = (CARD, METADATA)
"""What PEFT and this app put beside the two; it is never read."""
_END = struct.Struct("<4s4H2LH")
_CHUNK: Final = 1_048_576


def pack_adapter(adapter: Path, file: Path) -> None:
    """Writes the zip file of an adapter folder, with a folder of the file's name inside.

    Raises:
        DiskFullError: No space is left; then nothing is left behind either.
    """
    partial = file.with_name(f".{file.name}.part")
    with translated_os_errors(file.parent):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
                for name in (CONFIG, WEIGHTS, METADATA, CARD):
                    if (adapter / name).is_file():
                        how = zipfile.ZIP_STORED if name == WEIGHTS else zipfile.ZIP_DEFLATED
                        archive.write(adapter / name, f"{file.stem}/{name}", compress_type=how)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)


def unpack_adapter(file: Path, folder: Path) -> None:
    """Puts the configuration and the weights of an adapter's zip file into `folder`.

    Raises:
        ModelError: It is no zip file, holds anything else, or is larger than it should be.
        DiskFullError: No space is left.
    """
    with _opened(file) as archive:
        entries = _checked(archive)
        for name, entry in entries.items():
            with archive.open(entry) as packed, translated_os_errors(folder):
                _copy(packed, folder / name, size=entry.file_size)


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    _refuse_long_list(file)
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        UnicodeDecodeError,
        ValueError,
        RuntimeError,
    ) as error:
        raise _refusal("The file is not a zip file, or is damaged.") from error


def _refuse_long_list(file: Path) -> None:
    """Refuses an archive whose list alone would take long to read."""
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, 2)
            opened.seek(max(0, size - _END.size - 65_535))
            tail = opened.read()
    except OSError as error:
        raise _refusal("The file cannot be read.") from error
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise _refusal("The file is not a zip file, or is damaged.")
    _, _, _, _, num_entries, list_bytes, _, _ = _END.unpack_from(tail, at)
    if num_entries > MAX_ENTRIES or list_bytes > MAX_LIST_BYTES:
        raise _refusal(f"The zip file holds {num_entries:,} files, and an adapter has two.")


def _checked(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    folders = set()
    for entry in archive.infolist():
        folder, name = _parts(entry)
        if not name:
            continue
        folders.add(folder)
        if name in _LEFT_INSIDE:
            continue
        if name not in _LIMITS:
            raise _refusal("The zip file holds a file that does not belong to an adapter.")
        if name in found:
            raise _refusal(f"The zip file holds {name} twice.")
        _check_size(entry, _LIMITS[name])
        found[name] = entry
    if len(folders) > 1 or len(found) != len(_LIMITS):
        raise _refusal("The zip file does not hold one adapter.")
    return found


def _parts(entry: zipfile.ZipInfo) -> tuple[str, str]:
    """The folder and the file name of an entry; no name for a folder.

    Raises:
        ModelError: It leads elsewhere, or is neither a file nor a folder.
    """
    name, mode = entry.filename, entry.external_attr >> 16
    is_odd = name != entry.orig_filename or "\\" in name or ":" in name or not name.isprintable()
    parts = name.split("/")
    if is_odd or name.startswith("/") or ".." in parts or "." in parts or len(parts) > 2:
        raise _refusal("The zip file holds a file name that leads elsewhere.")
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
        raise _refusal("The zip file holds a link or another special file.")
    if entry.flag_bits & 0x1:
        raise _refusal("The zip file is encrypted.")
    return ("/".join(parts[:-1]), parts[-1])


def _check_size(entry: zipfile.ZipInfo, most: int) -> None:
    if entry.file_size > most:
        raise _refusal(f"{Path(entry.filename).name} is larger than an adapter's can be.")
    if entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        raise _refusal(f"{Path(entry.filename).name} would grow far beyond its packed size.")


def _copy(packed: IO[bytes], target: Path, *, size: int) -> None:
    left = size
    with target.open("xb") as file:
        while chunk := packed.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise _refusal(f"{target.name} is larger than the zip file says.")
            file.write(chunk)


def _refusal(message: str) -> ModelError:
    return ModelError(message, hint=WAY_OUT)

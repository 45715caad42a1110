"""The table of formats, and the choice among them by what is in the file."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medqlora.data.formats.archives import is_gzip, open_zip, unpacked_gzip, unpacked_zip
from medqlora.data.formats.csv_reader import read_csv
from medqlora.data.formats.joining import joined
from medqlora.data.formats.json_reader import read_json
from medqlora.data.formats.json_text import JsonText
from medqlora.data.formats.jsonl_reader import read_jsonl
from medqlora.data.formats.parquet_reader import read_parquet
from medqlora.data.formats.rows import MAX_FILE_BYTES, Source, Table, check_size, refused
from medqlora.data.formats.text import (
    Encoding,
    head_of,
    is_text,
    lines_of,
    open_text,
    quick_encoding,
)
from medqlora.data.formats.xlsx_reader import read_xlsx
from medqlora.data.formats.xml_reader import read_xml
from medqlora.errors import DataError

_SNIFFED_LINES = 20
_GIVE_A_TABLE = (
    "Give a table of questions and answers: CSV, Excel (.xlsx), JSON, JSONL, Parquet or XML."
)

_NOT_DATA: Mapping[bytes, str] = {
    b"%PDF-": "a PDF document",
    b"{\\rtf": "an RTF document",
    b"\xd0\xcf\x11\xe0": "an Office document that is old or locked with a password",
    b"MZ": "a Windows program",
    b"\x7fELF": "a program",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"SQLite format 3\x00": "an SQLite database",
    b"\x80\x02": "a Python pickle, which can run code and is never opened",
    b"\x80\x03": "a Python pickle, which can run code and is never opened",
    b"\x80\x04": "a Python pickle, which can run code and is never opened",
    b"\x80\x05": "a Python pickle, which can run code and is never opened",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"ARROW1": "an Arrow file",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ": "packed with xz",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
    b"7z\xbc\xaf": "packed with 7-Zip",
    b"Rar!": "packed with RAR",
    b"\x00asm": "a program",
    b"\xca\xfe\xba\xbe": "a program",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"GGUF": "a model, not data",
    b"DICM": "a DICOM picture",
    b"$FL2": "an SPSS file",
    b"<stata_dta>": "a Stata file",
}
_OFFICE_PARTS: Mapping[str, str] = {
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a PowerPoint presentation",
    "content.xml": "an OpenDocument file",
    "data.pkl": "a PyTorch checkpoint, which can run code and is never opened",
}
_GZIP = b"\x1f\x8b"
_WEB_PAGE = ("<!doctype html", "<html")


@dataclass(frozen=True, slots=True)
class _Look:
    """What can be told of a file from its first bytes, and of a zip from its list of files."""

    source: Source
    head: bytes
    text: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file that can be read.

    Attributes:
        name: What it is called.
        fits: Whether a file is of this kind, judged by its content.
        read: Its reader.
    """

    name: str
    fits: Callable[[_Look], bool]
    read: Callable[[Source], list[Table]]


@contextmanager
def open_tables(path: Path, scratch: Path | None = None) -> Iterator[list[Table]]:
    """The tables in the file at `path`. Their rows can be read while the context is open.

    Args:
        path: The file.
        scratch: Folder for what archives unpack to; the system's own when None.

    Raises:
        DataError: There is no such file, it is too large, or it is of no kind that is read here.
    """
    source = Source(path, path.name)
    with tempfile.TemporaryDirectory(prefix=".reading-", dir=scratch) as folder:
        try:
            _check_file(source)
            tables = _tables(source, Path(folder))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise refused(
                source, f"cannot be read: {reason}.", hint="Choose another file."
            ) from error
        yield tables


def check_kind(path: Path) -> None:
    """Refuses a file of no kind that is read, by its first bytes; what it packs is not looked at.

    Args:
        path: The file.

    Raises:
        DataError: It is too large, empty, damaged or of another kind.
    """
    source = Source(path, path.name)
    _check_file(source)
    if not is_gzip(source):
        look = _look(source)
        if not _is_archive(look):
            _format_of(look)


def _check_file(source: Source) -> None:
    if not source.path.is_file():
        raise refused(
            source, "is not a file that exists.", hint="Check the path, or upload the file again."
        )
    check_size(source, MAX_FILE_BYTES, hint="Split it, or take a part of its rows.")


def _tables(source: Source, folder: Path) -> list[Table]:
    if is_gzip(source):
        source = unpacked_gzip(source, folder)
    look = _look(source)
    return _tables_of_zip(source, folder) if _is_archive(look) else _read(look)


def _tables_of_zip(source: Source, folder: Path) -> list[Table]:
    tables: list[Table] = []
    passed_over: list[DataError] = []
    for member in unpacked_zip(source, folder):
        try:
            found = _read(_look(member))
        except DataError as error:
            passed_over.append(error)
            continue
        for table in found:
            table.name = f"{member.name} {table.name}".strip()
        tables += found
    if not tables:
        raise passed_over[0]
    if passed_over:
        tables[0].warnings.append(
            f"{len(passed_over)} files in the archive hold no table and were left out."
        )
    return joined(tables)


def _read(look: _Look) -> list[Table]:
    return _format_of(look).read(look.source)


def _format_of(look: _Look) -> Format:
    source = look.source
    if is_text(look.head) and not look.text:
        raise refused(source, "is empty.", hint=_GIVE_A_TABLE)
    if kind := _what_else(look):
        raise refused(source, f"is {kind}, not a table.", hint=_GIVE_A_TABLE)
    for format in FORMATS:
        if format.fits(look):
            return format
    raise refused(source, "is not text and of no kind that can be read.", hint=_GIVE_A_TABLE)


def _look(source: Source) -> _Look:
    head = head_of(source)
    text = head.decode(quick_encoding(head), errors="replace").lstrip() if is_text(head) else ""
    return _Look(source, head, text, _members(source) if head.startswith(b"PK\x03\x04") else ())


def _members(source: Source) -> tuple[str, ...]:
    try:
        with open_zip(source) as archive:
            return tuple(archive.namelist())
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise refused(
            source, "is a .zip or Excel file that is damaged.", hint="Make or download it again."
        ) from error


def _what_else(look: _Look) -> str:
    """What a file is that is no table, or an empty string."""
    for part, kind in _OFFICE_PARTS.items():
        if any(name == part or name.endswith(f"/{part}") for name in look.members):
            return kind
    for magic, kind in _NOT_DATA.items():
        if look.head.startswith(magic) and (not look.text or len(magic) > 3):
            return kind
    if look.head.startswith(_GZIP) or _is_archive(look):
        return "an archive inside an archive"
    return "a web page" if look.text.lower().startswith(_WEB_PAGE) else ""


def _is_archive(look: _Look) -> bool:
    parts = (*_OFFICE_PARTS, "xl/workbook.xml")
    return bool(look.members) and not any(name.endswith(parts) for name in look.members)


def _is_jsonl(look: _Look) -> bool:
    if not look.text.startswith("{"):
        return False
    # Lines may be broken, but not the first of them and most of the others.
    json_text, are_objects = JsonText(), list[bool]()
    with open_text(look.source, Encoding(quick_encoding(look.head))) as file:
        for _, line in lines_of(file):
            if line and line.strip():
                are_objects.append(isinstance(json_text.parse(line)[0], dict))
            if len(are_objects) == _SNIFFED_LINES:
                break
    return len(are_objects) > 1 and (are_objects[0] or sum(are_objects) >= len(are_objects) / 2)


FORMATS: tuple[Format, ...] = (
    Format("parquet", lambda look: look.head.startswith(b"PAR1"), read_parquet),
    Format("xlsx", lambda look: "xl/workbook.xml" in look.members, read_xlsx),
    Format("xml", lambda look: look.text.startswith("<"), read_xml),
    Format("jsonl", _is_jsonl, read_jsonl),
    Format("json", lambda look: look.text.startswith(("{", "[")), read_json),
    Format("csv", lambda look: bool(look.text), read_csv),
)

"""Excel workbooks (.xlsx): a table for each sheet, whatever title stands above its header.

Formulas are never computed; the value that Excel saved with them is read.
"""

from __future__ import annotations

import statistics
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medqlora.data.formats.archives import open_zip
from medqlora.data.formats.header import Header, header_of
from medqlora.data.formats.rows import MAX_DOCUMENT_BYTES, Row, Source, Table, refused

if TYPE_CHECKING:
    from openpyxl import Workbook

_MAX_COLUMNS = 200
_HEAD_ROWS = 40
_BLOCK = 1 << 20
_FORMULAS_NOTE = (
    "The workbook holds formulas: none is computed, and the values that Excel saved are read; a "
    "formula without one counts as empty."
)
_SAVE_AGAIN = "Open it in Excel and save it again as .xlsx or as CSV."

_Cells = dict[int, str]
"""The cells of a row that hold something, by their index from 0."""


@dataclass(frozen=True, slots=True)
class _Sheet:
    name: str
    header: Header
    indices: tuple[int, ...]
    first_row: int


def read_xlsx(source: Source) -> list[Table]:
    """A table for each sheet that holds one.

    Raises:
        DataError: The workbook is damaged or unpacks to too much.
    """
    with _workbook(source) as book:
        sheets = [sheet for name in book.sheetnames if (sheet := _sheet(book, name))]
        notes = [_FORMULAS_NOTE] if _holds_formulas(source) else []
    if not sheets:
        raise refused(source, "has no sheet with a table of two or more columns.", hint=_SAVE_AGAIN)
    return [
        Table(
            "xlsx",
            "binary",
            sheet.header.columns,
            _rows(source, sheet),
            f'sheet "{sheet.name}"',
            [*sheet.header.warnings, *notes],
        )
        for sheet in sheets
    ]


def _holds_formulas(source: Source) -> bool:
    with open_zip(source) as archive:
        for name in archive.namelist():
            if not name.startswith("xl/worksheets/"):
                continue
            with archive.open(name) as sheet:
                end = b""
                while block := sheet.read(_BLOCK):
                    if b"<f>" in (text := end + block) or b"<f " in text:
                        return True
                    end = block[-2:]
    return False


@contextmanager
def _workbook(source: Source) -> Iterator[Workbook]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with open_zip(source) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > MAX_DOCUMENT_BYTES:
            limit = f"{MAX_DOCUMENT_BYTES / 1e6:,.0f} MB"
            raise refused(source, f"unpacks to more than {limit}.", hint="Save the table as CSV.")
        with source.path.open("rb") as file:
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
            yield book
            book.close()
    except (
        zipfile.BadZipFile,
        zlib.error,
        InvalidFileException,
        # What openpyxl lets through when the XML inside is not what Excel writes:
        AttributeError,
        EOFError,
        LookupError,
        RuntimeError,
        SyntaxError,
        TypeError,
        ValueError,
    ) as error:
        raise refused(source, "is an Excel file that cannot be read.", hint=_SAVE_AGAIN) from error


def _cells(book: Workbook, name: str) -> Iterator[tuple[int, _Cells]]:
    sheet: Any = book[name]
    if name not in {one.title for one in book.worksheets}:
        return  # a sheet that is one chart
    sheet.reset_dimensions()  # what a file declares may be a million empty columns
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        cells = {
            index: str(value)
            for index, value in enumerate(values[:_MAX_COLUMNS])
            if value is not None and str(value).strip()
        }
        if cells:
            yield number, cells


def _sheet(book: Workbook, name: str) -> _Sheet | None:
    head = []
    for number, cells in _cells(book, name):
        head.append((number, cells))
        if len(head) == _HEAD_ROWS:
            break
    start = _header_position(head)
    if start is None:
        return None
    rows = [cells for _, cells in head[start:]]
    indices = tuple(sorted({index for cells in rows for index in cells}))
    header = header_of([[cells.get(index, "") for index in indices] for cells in rows])
    return _Sheet(name, header, indices, head[start][0] + header.is_given)


def _header_position(head: Sequence[tuple[int, _Cells]]) -> int | None:
    # Titles and remarks above a table fill fewer cells than its rows do.
    for position, (_, cells) in enumerate(head):
        below = [len(later) for _, later in head[position + 1 :]] or [len(cells)]
        if len(cells) >= max(2, 0.75 * statistics.median(below)):
            return position
    return None


def _rows(source: Source, sheet: _Sheet) -> Iterator[Row]:
    number = 0
    with _workbook(source) as book:
        for place, cells in _cells(book, sheet.name):
            if place >= sheet.first_row:
                number += 1
                values = [cells.get(index) for index in sheet.indices]
                columns = dict(zip(sheet.header.columns, values, strict=True))
                yield Row(number, f"row {place}", columns)

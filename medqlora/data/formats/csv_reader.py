"""CSV and its relatives: what separates cells, whether there is a header, rows of one width.

Python's own csv module reads the rows, because pandas shifts columns without a word when a row has
too many cells.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from medqlora.data.formats.header import header_of, is_header
from medqlora.data.formats.rows import (
    MAX_LINE_CHARS,
    MAX_ROW_CHARS,
    Row,
    Source,
    Table,
    refused,
)
from medqlora.data.formats.text import Encoding, detect_encoding, lines_of, open_text

if TYPE_CHECKING:
    from _csv import Reader

_SAMPLE_CHARS = 262_144
_SAMPLE_ROWS = 200
_END = "\x00end of file\x00"
_NAMES = {",": "csv", ";": "csv (semicolon)", "\t": "tsv", "|": "csv (bar)"}
_NOT_A_TABLE = (
    "Give a table with a column of questions and a column of answers: CSV, Excel, JSON or JSONL."
)

# The module's limit is one for the whole process; its default, 131,072, is shorter than a long
# clinical note.
csv.field_size_limit(MAX_ROW_CHARS)


@dataclass(frozen=True, slots=True)
class _Cells:
    """What separates cells and what protects a separator inside one."""

    delimiter: str
    quotechar: str = '"'
    escapechar: str | None = None

    def reader(self, lines: Iterable[str], *, strict: bool = False) -> Reader:
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quotechar,
            escapechar=self.escapechar,
            doublequote=self.escapechar is None,
            strict=strict,
        )


@dataclass(frozen=True, slots=True)
class _Dialect:
    cells: _Cells
    num_lines_before: int
    columns: tuple[str, ...]
    has_header: bool


def read_csv(source: Source) -> list[Table]:
    """The rows of a table in text.

    Raises:
        DataError: The text is not a table.
    """
    encoding = detect_encoding(source)
    warnings = [encoding.note] if encoding.note else []
    dialect = _dialect(source, encoding, warnings)
    rows = _rows(source, encoding, dialect)
    name = _NAMES[dialect.cells.delimiter]
    return [Table(name, encoding.name, dialect.columns, rows, warnings=warnings)]


def _dialect(source: Source, encoding: Encoding, warnings: list[str]) -> _Dialect:
    with open_text(source, encoding) as file:
        sample = file.read(_SAMPLE_CHARS)
    declared = re.match(r"sep=([,;\t|])\r?\n", sample)  # a line that Excel writes and hides
    sample = sample[declared.end() :] if declared else sample
    cells, rows = _cells(source, sample, declared[1] if declared else "")
    header = header_of(rows)
    warnings += header.warnings
    return _Dialect(cells, 1 if declared else 0, header.columns, header.is_given)


def _cells(source: Source, sample: str, declared: str) -> tuple[_Cells, list[list[str]]]:
    scored = []
    for delimiter in declared or _NAMES:
        quotings = list(_quotings(delimiter, sample))
        for cells in quotings:
            rows = _sample_rows(sample, cells)
            if rows and len(rows[0]) > 1:
                fitting = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
                num_clean = _num_clean(sample, cells) if len(quotings) > 1 else 0
                scored.append(((fitting, len(rows[0]), delimiter, num_clean), cells, rows))
    if not scored:
        raise refused(source, "is text, but not a table of two or more columns.", hint=_NOT_A_TABLE)
    (fitting, width, _, _), cells, rows = max(scored, key=lambda one: one[0])
    if fitting < 0.5 and not is_header(rows):
        raise refused(
            source,
            f"is not a table: its first line has {width} cells and most others have more or fewer.",
            hint=_NOT_A_TABLE,
        )
    return cells, rows


def _quotings(delimiter: str, sample: str) -> Iterator[_Cells]:
    """Ways of quoting that this text may use; the first wins a tie."""
    quotechar, between = '"', re.escape(delimiter)
    is_quoted = re.compile(rf"^'.*'{between}.*'\r?$", re.M)
    if "\n'" in sample and len(is_quoted.findall(sample)) > 0.5 * sample.count("\n"):
        quotechar = "'"
    if f"\\{quotechar}" in sample:
        yield _Cells(delimiter, quotechar, escapechar="\\")
    yield _Cells(delimiter, quotechar)


def _sample_rows(sample: str, cells: _Cells) -> list[list[str]]:
    reader = cells.reader(io.StringIO(sample, newline=""))
    try:
        rows = [row for row in itertools.islice(reader, _SAMPLE_ROWS) if row]
    except csv.Error:
        return []
    was_cut = len(sample) >= _SAMPLE_CHARS
    return rows[:-1] if was_cut and len(rows) > 1 else rows


def _num_clean(sample: str, cells: _Cells) -> int:
    """How many of the first rows are written without a mistake, if cells are quoted so."""
    reader = cells.reader(io.StringIO(sample, newline=""), strict=True)
    clean: list[list[str]] = []
    with suppress(csv.Error):
        clean.extend(itertools.islice(reader, _SAMPLE_ROWS))  # keeps those before a mistake
    return len(clean)


def _rows(source: Source, encoding: Encoding, dialect: _Dialect) -> Iterator[Row]:
    with open_text(source, encoding) as file:
        records = _records(_with_end(source, file, skip=dialect.num_lines_before), dialect)
        if dialect.has_header:
            next(records)
        for number, (line, cells) in enumerate(records, start=1):
            yield _row(number, f"line {line}", cells, dialect.columns)


def _with_end(source: Source, file: TextIO, *, skip: int) -> Iterator[str]:
    # A quote that is never closed swallows the rest of the file, this mark included: that is how it
    # is noticed.
    for number, line in lines_of(file):
        if line is None:
            raise refused(
                source,
                f"has a line of more than {MAX_LINE_CHARS:,} characters, line {number}.",
                hint="Take that line out, then try again.",
            )
        if number > skip:
            yield line
    yield _END


def _records(lines: Iterator[str], dialect: _Dialect) -> Iterator[tuple[int, list[str] | None]]:
    # None stands for a record with a cell beyond the limit; the reader goes on with the line after
    # it.
    reader = dialect.cells.reader(lines)
    while True:
        line = dialect.num_lines_before + reader.line_num + 1
        try:
            cells = next(reader)
        except csv.Error:
            yield line, None
            continue
        if cells == [_END]:
            return
        if cells:
            yield line, cells
        if cells and cells[-1].endswith(_END):
            return


def _row(number: int, place: str, cells: list[str] | None, columns: tuple[str, ...]) -> Row:
    if cells is None:
        return Row(number, place, None, f"has a cell of more than {MAX_ROW_CHARS:,} characters")
    if cells[-1].endswith(_END):
        return Row(number, place, None, "opens a quote that is never closed")
    if len(cells) < len(columns) or any(cell.strip() for cell in cells[len(columns) :]):
        return Row(number, place, None, f"has {len(cells)} cells where {len(columns)} are expected")
    return Row(number, place, dict(zip(columns, cells, strict=False)))

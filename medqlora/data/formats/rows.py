"""What every reader gives: tables of raw rows, within limits that keep memory bounded.

Nothing here knows a format or what a column means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqlora.errors import DataError

MAX_FILE_BYTES = 2_000_000_000
"""Largest file that is read, and the most that any archive may unpack to."""

MAX_DOCUMENT_BYTES = 200_000_000
"""Largest file of a format that has to be in memory as a whole, such as a JSON array."""

MAX_LINE_CHARS = 8_000_000
"""Longest line that is read; a row of `MAX_ROW_CHARS` fits in even when JSON escapes all of it."""

MAX_ROW_CHARS = 1_000_000
"""Longest row that becomes an entry."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read.

    Attributes:
        path: Where its bytes are; a temporary file for what came out of an archive.
        name: What the user calls it, for messages.
    """

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """One raw row.

    Attributes:
        number: Counted from 1 in file order.
        place: Where a person finds it, such as "line 7".
        values: Value by column, or None when the row could not be read.
        problem: Why it could not be read; goes on after the place: "line 7 has 3 cells, the header
            has 2".
    """

    number: int
    place: str
    values: Mapping[str, Any] | None
    problem: str = ""


@dataclass(slots=True)
class Table:
    """A file as rows.

    Attributes:
        format: Name of the reader.
        encoding: Text encoding, "binary" for formats that settle it themselves.
        columns: Columns in file order; empty for a format whose rows all have the same.
        rows: The rows, read while they are asked for.
        name: Name of the table within its file, such as a sheet's; empty when the file is one
            table.
        warnings: Sentences about the file as a whole; complete once all rows were read.
    """

    format: str
    encoding: str
    columns: tuple[str, ...]
    rows: Iterator[Row]
    name: str = ""
    warnings: list[str] = field(default_factory=list)


def most_unpacked(num_bytes: int) -> int:
    """The most that a file of `num_bytes` may come to, in bytes unpacked or in characters of text.

    Real data is packed less than 100 to 1; what claims more is a bomb, or a table of one row
    repeated.
    """
    return min(MAX_FILE_BYTES, max(MAX_FILE_BYTES // 4, 100 * num_bytes))


def refused(source: Source, what: str, *, hint: str) -> DataError:
    """The error for a file that cannot be used: `what` goes on after its name."""
    return DataError(f"{source.name} {what}", hint=hint)


def check_size(source: Source, limit: int, *, hint: str) -> None:
    """Refuses a file of more than `limit` bytes.

    Raises:
        DataError: It is larger.
    """
    size = source.path.stat().st_size
    if size > limit:
        raise refused(
            source,
            f"has {size / 1e6:,.0f} MB; at most {limit / 1e6:,.0f} MB can be read.",
            hint=hint,
        )

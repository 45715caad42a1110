"""The first row of a table: whether it names the columns or is already data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MAX_CHARS = 60
_MAX_WORDS = 6


@dataclass(frozen=True, slots=True)
class Header:
    """What the columns are called.

    Attributes:
        columns: A name for each column, none empty and none twice.
        is_given: Whether the first row gave them; otherwise they are "column_1" and so on, and that
            row is data.
        warnings: What the user should know of it.
    """

    columns: tuple[str, ...]
    is_given: bool
    warnings: tuple[str, ...] = ()


def header_of(rows: Sequence[Sequence[str]]) -> Header:
    """The header of a table, judged by its first rows."""
    if not is_header(rows):
        names = tuple(f"column_{index}" for index in range(1, len(rows[0]) + 1))
        return Header(
            names, False, ("The first row does not look like a header and was read as data.",)
        )
    columns, repeated = _unique(rows[0])
    if not repeated:
        return Header(columns, True)
    quoted = ", ".join(f'"{name}"' for name in repeated)
    return Header(
        columns, True, (f"The header names {quoted} more than once; later ones are numbered.",)
    )


def is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first of these rows names the columns of the others."""
    named = [(index, cell.strip()) for index, cell in enumerate(rows[0]) if cell.strip()]
    if not named or not all(_looks_like_a_name(cell) for _, cell in named):
        return False
    # A name does not come back as a value; the letter of the right option in a table without a
    # header does.
    return not any(
        len(row) > index and row[index].strip() == cell for row in rows[1:] for index, cell in named
    )


def _looks_like_a_name(cell: str) -> bool:
    return (
        len(cell) <= _MAX_CHARS
        and len(cell.split()) <= _MAX_WORDS
        and any(char.isalpha() for char in cell)
        and not re.search(r"[?!\u3002\uff1f\uff01\n]|\.$", cell)
    )


def _unique(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    times: dict[str, int] = {}
    unique = []
    for index, given in enumerate(names, start=1):
        name = given.strip() or f"column_{index}"
        times[name] = times.get(name, 0) + 1
        unique.append(name if times[name] == 1 else f"{name} ({times[name]})")
    return tuple(unique), tuple(name for name, count in times.items() if count > 1)

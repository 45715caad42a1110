"""Several tables as one: the sheets of a workbook, the files of an archive."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from medqlora.data.formats.rows import Row, Table


def joined(tables: Sequence[Table]) -> list[Table]:
    """Tables of the same format and columns put together, each group in its order."""
    groups: dict[tuple[str, tuple[str, ...]], list[Table]] = {}
    for table in tables:
        groups.setdefault((table.format, table.columns), []).append(table)
    return [chained(group) for group in groups.values()]


def chained(tables: Sequence[Table]) -> Table:
    """The rows of all tables, numbered through, each with the name of its table in its place."""
    if len(tables) == 1:
        return tables[0]
    first, warnings = tables[0], list[str]()
    columns = tuple(dict.fromkeys(column for table in tables for column in table.columns))
    rows = _numbered_through(tables, warnings)
    return Table(first.format, first.encoding, columns, rows, warnings=warnings)


def _numbered_through(tables: Sequence[Table], warnings: list[str]) -> Iterator[Row]:
    count = itertools.count(1)
    for table in tables:
        for row in table.rows:
            place = f"{row.place} of {table.name}" if table.name else row.place
            yield Row(next(count), place, row.values, row.problem)
        warnings += [warning for warning in table.warnings if warning not in warnings]

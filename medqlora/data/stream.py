"""A file opened: which of its tables hold questions and answers, and their rows one by one.

Everything is read while it is asked for, so that a file may be larger than memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medqlora.data.columns import fitted, propose
from medqlora.data.conversations import conversation_columns, with_conversations
from medqlora.data.formats import Table, open_tables
from medqlora.data.formats.joining import chained
from medqlora.data.formats.json_text import columns_of
from medqlora.data.formats.rows import most_unpacked
from medqlora.data.guesses import samples_of
from medqlora.data.reading import Candidate, candidates
from medqlora.domain.dataset import ColumnMapping
from medqlora.errors import DataError, MappingNeededError

_SAMPLE_ROWS = 500


@dataclass(frozen=True, slots=True)
class DatasetStream:
    """A file whose meaning is settled; its rows are still to be read, once.

    Attributes:
        name: The file's own name.
        format: Reader that understood it, such as `jsonl`.
        encoding: Text encoding that was found, or `binary`.
        columns: Columns of the file in file order.
        mapping: How columns become entries.
        samples: A few values of each column, cut short: text of rows, for the user's eyes.
        candidates: The rows in file order, one by one.
    """

    name: str
    format: str
    encoding: str
    columns: tuple[str, ...]
    mapping: ColumnMapping
    samples: Mapping[str, tuple[str, ...]]
    candidates: Iterator[Candidate]
    _table: Table
    _notes: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about the file as a whole; complete once all rows were read."""
        return (*self._table.warnings, *self._notes)


@contextmanager
def open_stream(
    path: Path, mapping: ColumnMapping | None, scratch: Path | None
) -> Iterator[DatasetStream]:
    """The rows of a file, to be read while the context is open.

    Args:
        path: The file.
        mapping: What its columns mean; found out when None.
        scratch: Folder for what archives unpack to; the system's own when None.

    Raises:
        DataError: The file cannot be used; much of it is noticed while rows are read.
        MappingNeededError: Its columns do not say by themselves what they mean.
    """
    with open_tables(path, scratch) as tables:
        opened = _settled(path, tables, mapping)
        yield DatasetStream(
            name=path.name,
            format=opened.table.format,
            encoding=opened.table.encoding,
            columns=opened.columns,
            mapping=opened.mapping,
            samples=opened.samples,
            candidates=_bounded(path, candidates(opened.table.rows, opened.mapping)),
            _table=opened.table,
            _notes=opened.notes,
        )


def unreadable(name: str, problem: str) -> DataError:
    """The error for a file none of whose rows could be read."""
    return DataError(
        f"No row of {name} could be read: {problem}.",
        hint="Mend the file or export it again, then try again.",
    )


@dataclass(frozen=True, slots=True)
class _Opened:
    """A table whose meaning is settled."""

    table: Table
    columns: tuple[str, ...]
    mapping: ColumnMapping
    samples: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()


def _settled(path: Path, tables: Sequence[Table], mapping: ColumnMapping | None) -> _Opened:
    """The table whose columns can be told, or all that have the same meaning put together."""
    opened: list[_Opened] = []
    unclear: list[MappingNeededError] = []
    for table in tables:
        try:
            opened += _opened(path, table, mapping)
        except MappingNeededError as error:
            unclear.append(error)
    if not opened:
        raise unclear[0] if unclear else _without_rows(path)
    first = opened[0]
    if any(one.mapping.meaning != first.mapping.meaning for one in opened):
        raise DataError(
            f"{path.name} holds {len(opened)} different tables of questions and answers.",
            hint="Save the one you need as a file of its own.",
        )
    table = chained([one.table for one in opened])
    columns = tuple(dict.fromkeys(column for one in opened for column in one.columns))
    notes = _notes(opened, num_unread=len(tables) - len(opened))
    return _Opened(table, columns, first.mapping, first.samples, notes)


def _opened(path: Path, table: Table, mapping: ColumnMapping | None) -> list[_Opened]:
    """The table with its mapping, or nothing when it has no rows."""
    head = list(itertools.islice(table.rows, _SAMPLE_ROWS))
    if not head:
        return []
    chats = conversation_columns(head)
    sample = [with_conversations(row, chats) for row in head]
    columns = table.columns or columns_of(row.values for row in head)
    if not columns:
        raise unreadable(path.name, f"{head[0].place} {head[0].problem}")
    meaning = fitted(mapping, columns, sample) if mapping else propose(columns, sample)
    rest = (with_conversations(row, chats) for row in table.rows)
    table.rows = itertools.chain(sample, rest)
    return [_Opened(table, columns, meaning, samples_of(columns, sample))]


def _notes(opened: Sequence[_Opened], *, num_unread: int) -> tuple[str, ...]:
    names = ", ".join(one.table.name for one in opened[:6])
    together = f"{len(opened)} tables were read one after the other: {names}."
    apart = f"Only {names} was read; {num_unread} other tables hold no questions and answers."
    return (*((together,) if len(opened) > 1 else ()), *((apart,) if num_unread else ()))


def _bounded(path: Path, rows: Iterable[Candidate]) -> Iterator[Candidate]:
    # A small file can stand for any amount of text; what counts is what it comes to.
    limit, num_chars = most_unpacked(path.stat().st_size), 0
    for candidate in rows:
        num_chars += len(candidate.prompt or "") + len(candidate.response or "")
        if num_chars > limit:
            raise DataError(
                f"{path.name} holds more than {limit:,} characters of text.",
                hint="Split it, or take a part of its rows.",
            )
        yield candidate


def _without_rows(path: Path) -> DataError:
    return DataError(
        f"{path.name} holds 0 rows of questions and answers.",
        hint="Give a file with at least 2 questions that have an answer.",
    )

"""MedicalDatasetLoader reads a file of questions and answers, in any format of `data.formats`.

`read` is what the app calls; it needs no library but those of the file's format. The other methods
give and take a `datasets.Dataset` for notebook cells and import `datasets` only then. Nothing is
written here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqlora.data.cleaning import cleaned
from medqlora.data.columns import fitted, propose
from medqlora.data.conversations import conversation_columns, with_conversations
from medqlora.data.formats import Table, open_tables
from medqlora.data.formats.joining import chained
from medqlora.data.formats.json_text import columns_of
from medqlora.data.reading import Candidate, candidates
from medqlora.data.validator import DataValidator, validate
from medqlora.data.values import as_text
from medqlora.domain.dataset import ColumnMapping, ReadResult, ValidationResult
from medqlora.errors import DataError, MappingNeededError

if TYPE_CHECKING:
    from datasets import Dataset

_SAMPLE_ROWS = 500
_MAX_TEXT_CHARS = 500_000_000
_TEXTS = ("question", "answer", "context")


def sample_path() -> Path:
    """The set of questions and answers that ships with the project."""
    return Path(__file__).parent / "sample_medical_qa.jsonl"


@dataclass(frozen=True, slots=True)
class _Opened:
    """A table whose meaning is settled."""

    table: Table
    columns: tuple[str, ...]
    mapping: ColumnMapping
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RowStream:
    """A file whose rows are read while they are asked for.

    Attributes:
        format: Reader that understood it.
        encoding: Text encoding that was found, or `binary`.
        columns: Columns of the file in file order.
        mapping: How columns become entries.
        candidates: The rows, valid or not, once.
    """

    format: str
    encoding: str
    columns: tuple[str, ...]
    mapping: ColumnMapping
    candidates: Iterator[Candidate]
    _opened: _Opened

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about the file as a whole; complete once all rows were read."""
        return (*self._opened.table.warnings, *self._opened.notes)


class MedicalDatasetLoader:
    """Reads files of medical questions and answers."""

    def read(self, path: Path, mapping: ColumnMapping | None = None) -> ReadResult:
        """Everything that a file holds: its valid entries, and what is wrong with the others.

        Args:
            path: The file.
            mapping: What its columns mean; found out when not given.

        Raises:
            DataError: The file cannot be used.
            MappingNeededError: Its columns do not say by themselves what they mean.
        """
        validator = DataValidator()
        with self.stream(path, mapping) as stream:
            entries = tuple(
                one.entry
                for one in stream.candidates
                if validator.check(one).is_valid and one.entry is not None
            )
        require_readable(path, validator)
        return ReadResult(
            name=path.name,
            format=stream.format,
            encoding=stream.encoding,
            columns=stream.columns,
            mapping=stream.mapping,
            entries=entries,
            validation=validator.result(),
            warnings=stream.warnings,
        )

    @contextmanager
    def stream(self, path: Path, mapping: ColumnMapping | None = None) -> Iterator[RowStream]:
        """The rows of a file, one at a time, while the context is open; see `read`."""
        with open_tables(path) as tables:
            opened = _settled(path, tables, mapping)
            yield RowStream(
                format=opened.table.format,
                encoding=opened.table.encoding,
                columns=opened.columns,
                mapping=opened.mapping,
                candidates=_bounded(path, candidates(opened.table.rows, opened.mapping)),
                _opened=opened,
            )

    def load_dataset(self, dataset_path: str) -> Dataset:
        """All rows of a file, the invalid ones too, each column a text.

        The columns are `question`, `answer`, `context` and `metadata`, which is JSON.
        A row that could not be read has None in all four.

        Raises:
            DataError: The file cannot be used.
            MappingNeededError: Its columns do not say by themselves what they mean.
        """
        from datasets import Dataset, Features, Value

        path = Path(dataset_path)
        with open_tables(path) as tables:
            opened = _settled(path, tables, None)
            rows = _bounded(path, candidates(opened.table.rows, opened.mapping))
            records = [_record(candidate) for candidate in rows]
        features = Features({name: Value("string") for name in (*_TEXTS, "metadata")})
        return Dataset.from_list(records, features=features)

    def validate_format(self, dataset: Dataset) -> ValidationResult:
        """What is wrong with the rows of a dataset that has the columns of `load_dataset`.

        Raises:
            MappingNeededError: The dataset has no `question` or no `answer`.
        """
        return validate(_candidates_of(dataset))

    def preprocess_medical_text(self, dataset: Dataset) -> Dataset:
        """The dataset with white space and Unicode mended, as `data.cleaning` says."""
        columns = [name for name in _TEXTS if name in dataset.column_names]

        def clean(row: dict[str, Any]) -> dict[str, Any]:
            return {name: row[name] and cleaned(row[name]) for name in columns}

        return dataset.map(clean)

    def filter_invalid_entries(self, dataset: Dataset) -> tuple[Dataset, int]:
        """The rows that can be trained on, and how many were left out.

        Raises:
            MappingNeededError: The dataset has no `question` or no `answer`.
        """
        validator = DataValidator()
        kept = [
            index
            for index, one in enumerate(_candidates_of(dataset))
            if validator.check(one).is_valid
        ]
        return dataset.select(kept), len(dataset) - len(kept)


def require_readable(path: Path, validator: DataValidator) -> None:
    """Refuses a file of which no row could be read, once all were tried.

    Raises:
        DataError: None could.
    """
    counts = validator.result().counts
    if counts.corrupted == counts.rows:
        raise _unreadable(path, validator.first_problem)


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
    if any(one.mapping != first.mapping for one in opened):
        raise DataError(
            f"{path.name} holds {len(opened)} different tables of questions and answers.",
            hint="Save the one you need as a file of its own.",
        )
    table = chained([one.table for one in opened])
    columns = tuple(dict.fromkeys(column for one in opened for column in one.columns))
    return _Opened(
        table, columns, first.mapping, _notes(opened, num_unread=len(tables) - len(opened))
    )


def _opened(path: Path, table: Table, mapping: ColumnMapping | None) -> list[_Opened]:
    """The table with its mapping, or nothing when it has no rows."""
    head = list(itertools.islice(table.rows, _SAMPLE_ROWS))
    if not head:
        return []
    chats = conversation_columns(head)
    sample = [with_conversations(row, chats) for row in head]
    columns = table.columns or columns_of(row.values for row in head)
    if not columns:
        raise _unreadable(path, f"{head[0].place} {head[0].problem}")
    meaning = fitted(mapping, columns, sample) if mapping else propose(columns, sample)
    rest = (with_conversations(row, chats) for row in table.rows)
    table.rows = itertools.chain(sample, rest)
    return [_Opened(table, columns, meaning)]


def _notes(opened: Sequence[_Opened], *, num_unread: int) -> tuple[str, ...]:
    names = ", ".join(one.table.name for one in opened[:6])
    together = f"{len(opened)} tables were read one after the other: {names}."
    apart = f"Only {names} was read; {num_unread} other tables hold no questions and answers."
    return (*((together,) if len(opened) > 1 else ()), *((apart,) if num_unread else ()))


def _bounded(path: Path, rows: Iterable[Candidate]) -> Iterator[Candidate]:
    # A small file can stand for any amount of text; what counts is what it comes to.
    num_chars = 0
    for candidate in rows:
        num_chars += len(candidate.prompt or "") + len(candidate.response or "")
        if num_chars > _MAX_TEXT_CHARS:
            raise DataError(
                f"{path.name} holds more than {_MAX_TEXT_CHARS:,} characters of text.",
                hint="Split it, or take a part of its rows.",
            )
        yield candidate


def _unreadable(path: Path, problem: str) -> DataError:
    return DataError(
        f"No row of {path.name} could be read: {problem}.",
        hint="Mend the file or export it again, then try again.",
    )


def _without_rows(path: Path) -> DataError:
    return DataError(
        f"{path.name} holds 0 rows of questions and answers.",
        hint="Give a file with at least 2 questions that have an answer.",
    )


def _record(candidate: Candidate) -> dict[str, str | None]:
    entry = candidate.entry
    if candidate.problem:
        return dict.fromkeys((*_TEXTS, "metadata"))
    return {
        "question": entry.question if entry else candidate.prompt,
        "answer": candidate.response,
        "context": entry.context if entry else None,
        "metadata": json.dumps(dict(entry.metadata) if entry else {}, ensure_ascii=False),
    }


def _candidates_of(dataset: Dataset) -> Iterator[Candidate]:
    columns = tuple(dataset.column_names)
    if not {"question", "answer"} <= set(columns):
        raise MappingNeededError(
            "The dataset has no columns called question and answer.",
            hint="Rename its columns, for example with rename_column.",
            columns=columns,
        )
    for number, row in enumerate(dataset, start=1):
        place = f"row {number}"
        metadata = row.get("metadata")
        if "metadata" in columns and metadata is None:
            yield Candidate(number, place, problem="could not be read")
            continue
        question, answer = as_text(row["question"]), as_text(row["answer"])
        yield Candidate(number, place, _stem(metadata) or question, answer)


def _stem(metadata: Any) -> str | None:
    values = json.loads(metadata) if isinstance(metadata, str) else metadata or {}
    stem = values.get("stem")
    return stem if isinstance(stem, str) else None

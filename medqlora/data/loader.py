"""MedicalDatasetLoader reads a file of questions and answers, in any format of `data.formats`.

`read` and `open` are what the app calls; they need no library but those of the file's format. The
other methods give and take a `datasets.Dataset` for notebook cells and import `datasets` only then.
Nothing but what an archive unpacks to is written here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqlora.data.cleaning import cleaned
from medqlora.data.reading import Candidate
from medqlora.data.stream import DatasetStream, open_stream, unreadable
from medqlora.data.validator import DataValidator, validate
from medqlora.data.values import as_text
from medqlora.domain.dataset import ColumnMapping, MedicalDataEntry, ReadResult, ValidationResult
from medqlora.errors import MappingNeededError

if TYPE_CHECKING:
    from datasets import Dataset

_TEXTS = ("question", "answer", "context")


def sample_path() -> Path:
    """The set of questions and answers that ships with the project."""
    return Path(__file__).parent / "sample_medical_qa.jsonl"


class MedicalDatasetLoader:
    """Reads files of medical questions and answers.

    Args:
        scratch: Folder for what archives unpack to while they are read; the system's temporary
            folder by default.
    """

    def __init__(self, scratch: Path | None = None) -> None:
        self._scratch = scratch

    def open(
        self, path: Path, mapping: ColumnMapping | None = None
    ) -> AbstractContextManager[DatasetStream]:
        """The rows of a file one by one, in bounded memory: `with loader.open(path) as stream`.

        Args:
            path: The file.
            mapping: What its columns mean; found out when not given.

        Raises:
            DataError: The file cannot be used; much of it is noticed while rows are read.
            MappingNeededError: Its columns do not say by themselves what they mean.
        """
        return open_stream(path, mapping, self._scratch)

    def read(
        self, path: Path, mapping: ColumnMapping | None = None, *, limit: int | None = None
    ) -> ReadResult:
        """Everything that a file holds: its valid entries, and what is wrong with the others.

        Args:
            path: The file.
            mapping: What its columns mean; found out when not given.
            limit: Most entries to keep, so that a large file is checked in bounded memory; all
                when None.

        Raises:
            DataError: The file cannot be used.
            MappingNeededError: Its columns do not say by themselves what they mean.
        """
        validator, entries = DataValidator(), list[MedicalDataEntry]()
        with self.open(path, mapping) as stream:
            for one in stream.candidates:
                is_kept = validator.check(one).is_valid and (limit is None or len(entries) < limit)
                if is_kept and one.entry is not None:
                    entries.append(one.entry)
        validation = validator.result()
        if validation.counts.corrupted == validation.counts.rows:
            raise unreadable(path.name, validator.first_problem)
        return ReadResult(
            name=stream.name,
            format=stream.format,
            encoding=stream.encoding,
            columns=stream.columns,
            mapping=stream.mapping,
            entries=tuple(entries),
            validation=validation,
            warnings=stream.warnings,
            samples=stream.samples,
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

        with self.open(Path(dataset_path)) as stream:
            records = [_record(candidate) for candidate in stream.candidates]
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

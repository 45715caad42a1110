"""Our own records as JSON files, read back as the value types that they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.preparing import DraftRow
from medqlora.errors import PersistenceError
from medqlora.persistence.atomic import write_json

T = TypeVar("T")


class DraftFiles:
    """Where everything of a draft lies.

    Args:
        folder: The draft's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / "draft.json"
        self.rows = folder / "rows.jsonl"
        self.phi_examples = folder / "phi_examples.json"
        self.cleaning_examples = folder / "cleaning_examples.json"

    def iter_rows(self) -> Iterator[DraftRow]:
        """The rows, one at a time.

        Raises:
            PersistenceError: The file is missing or damaged.
        """
        try:
            with self.rows.open(encoding="utf-8", newline="\n") as lines:
                for line in lines:
                    fields = json.loads(line)
                    yield DraftRow(
                        number=fields["number"],
                        num_findings=fields["num_findings"],
                        codes=tuple(fields["codes"]),
                        entry=MedicalDataEntry(**fields["entry"]),
                    )
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise PersistenceError(
                "The draft of this file is missing or damaged.", hint="Choose the file again."
            ) from error


def row_line(row: DraftRow) -> str:
    """A row of a draft as one line."""
    return json.dumps(asdict(row), ensure_ascii=False) + "\n"


def write_record(path: Path, record: Any) -> None:
    """Writes a value type in one step; see `write_json` for the errors."""
    write_json(path, asdict(record))


def as_record(kind: type[T], fields: Any) -> T:
    """The value type whose fields as JSON values these are.

    Raises:
        ValueError: They are not.
    """
    return TypeAdapter(kind).validate_python(fields)


def read_record(kind: type[T], path: Path) -> T:
    """The value type that `write_record` wrote.

    Fields that are not known are passed over, and new ones have their defaults.

    Raises:
        PersistenceError: The file is missing or damaged.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PersistenceError(
            f"The record of {path.parent.name} is missing or damaged.",
            hint="Delete it and prepare the file again.",
        ) from error

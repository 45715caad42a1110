"""Entries as a file: one JSON object a line with `question`, `answer`, `context` and `metadata`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from medqlora.domain.dataset import MedicalDataEntry
from medqlora.errors import PersistenceError
from medqlora.persistence.atomic import write_text


def write_entries(path: Path, entries: Iterable[MedicalDataEntry]) -> None:
    """Writes `entries` in one step.

    Raises:
        DiskFullError: No space is left.
        StorageUnavailableError: The folder cannot be written.
    """
    write_text(path, "".join(map(entry_line, entries)))


def entry_line(entry: MedicalDataEntry) -> str:
    """An entry as one line."""
    return json.dumps(asdict(entry), ensure_ascii=False) + "\n"


def iter_entries(path: Path) -> Iterator[MedicalDataEntry]:
    """The entries that `write_entries` wrote, one at a time, without holding all of them.

    Raises:
        PersistenceError: The file is missing or is not one of ours.
    """
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                if line.strip():
                    yield MedicalDataEntry(**json.loads(line))
    except (OSError, ValueError, TypeError) as error:
        raise PersistenceError(
            f"The prepared data in {path.parent.name} is missing or damaged.",
            hint="Prepare the dataset again on the Dataset tab.",
        ) from error


def read_entries(path: Path) -> list[MedicalDataEntry]:
    """All entries that `write_entries` wrote; see `iter_entries` for the errors."""
    return list(iter_entries(path))

"""When two preparations are the same: the same file, read and treated alike."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from medqlora.data.hub import PREFIX
from medqlora.data.loader import sample_path
from medqlora.domain.dataset import ColumnMapping
from medqlora.domain.preparing import Choices
from medqlora.errors import DataError
from medqlora.persistence.workspace import slug

_LAYOUT = 3
"""Goes into every id; to be raised when the same file would give other entries or another split."""


def dataset_id(name: str, sha256: str, mapping: ColumnMapping | None, choices: Choices) -> str:
    """The id of a dataset: the same file with the same settings has the same."""
    settings = asdict(choices)
    settings.pop("licence")
    settings["benchmarks"] = [sha256_of_file(Path(file)) for file in choices.benchmarks]
    meaning = mapping.meaning if mapping else None
    told_apart = json.dumps([_LAYOUT, sha256, meaning, settings], sort_keys=True)
    return f"{slug(name, 'dataset')}-{hashlib.sha256(told_apart.encode()).hexdigest()[:12]}"


def is_hub(source: Path | str | None) -> bool:
    """Whether a source names a dataset of the hub."""
    return isinstance(source, str) and source.startswith(PREFIX)


def sha256_of_file(path: Path | None) -> str:
    """Hash of a file, of the sample when None.

    Raises:
        DataError: It cannot be read.
    """
    source = path or sample_path()
    try:
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(
            f"{source.name} cannot be read: {reason}.", hint="Choose another file."
        ) from error

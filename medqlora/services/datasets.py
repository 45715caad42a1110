"""DatasetService: what the Dataset tab, the command line and a notebook cell ask about data.

A prepared dataset is a folder of the workspace, `datasets/<id>/`, with `dataset.json` (its card),
`train.jsonl` and `eval.jsonl`. The id is made of the name, the file's hash and the settings, so
preparing the same file with the same settings again opens what is there. How files are read and
split is `data`'s.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from medqlora.data.entries import read_entries, write_entries
from medqlora.data.loader import MedicalDatasetLoader, sample_path
from medqlora.data.splitting import Split, split_entries
from medqlora.domain.dataset import (
    ColumnMapping,
    DatasetCard,
    MedicalDataEntry,
    ReadResult,
    ValidationCounts,
    ValidationIssue,
    ValidationResult,
)
from medqlora.errors import DataError, PersistenceError
from medqlora.persistence.atomic import sync_folder, translated_os_errors, write_json
from medqlora.persistence.workspace import Workspace, child, slug

SAMPLE_NAME = "Sample: medical questions and answers"

PREVIEW_ENTRIES = 100

_LAYOUT = 2
"""Goes into every id; to be raised when the same file would give other entries or another split."""

_CARD = "dataset.json"
_TEMPORARY = ".preparing-"

_log = logging.getLogger(__name__)


class DatasetService:
    """Datasets of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._folder = workspace.datasets
        self._loader = MedicalDatasetLoader(scratch=workspace.uploads)

    def inspect(self, path: Path, mapping: ColumnMapping | None = None) -> ReadResult:
        """What a file holds and what is wrong with it; nothing is kept.

        The first `PREVIEW_ENTRIES` entries come along, so that a file of any size can be looked at.

        Raises:
            DataError: The file cannot be used.
            MappingNeededError: Its columns do not say by themselves what they mean.
        """
        return self._loader.read(path, mapping, limit=PREVIEW_ENTRIES)

    def prepare(
        self,
        path: Path | None,
        *,
        mapping: ColumnMapping | None = None,
        eval_share: float = 0.1,
        seed: int = 42,
    ) -> DatasetCard:
        """Reads, checks and splits a file, and keeps the result in the workspace.

        Rows that are missing or corrupted are left out; repeated rows are kept and reported.

        Args:
            path: The file; the sample that ships with the project when None.
            mapping: What the columns mean; found out when not given.
            eval_share: Share of the rows to hold out, 0 to 0.5.
            seed: Seed of the split.

        Raises:
            DataError: The file cannot be used, or there is too little to train on or to hold out.
            MappingNeededError: Its columns do not say by themselves what they mean.
            ConfigError: The share is out of range.
            DiskFullError: No space is left.
        """
        source = path or sample_path()
        name = path.name if path else SAMPLE_NAME
        source_sha256 = _sha256_of_file(source)
        settings = [_LAYOUT, source_sha256, asdict(mapping) if mapping else None, eval_share, seed]
        dataset_id = f"{slug(name, 'dataset')}-{_sha256(json.dumps(settings))[:12]}"
        if (self._folder / dataset_id / _CARD).is_file():
            return self.card(dataset_id)
        read = self._loader.read(source, mapping)
        split = split_entries(read.entries, eval_share=eval_share, seed=seed)
        card = DatasetCard(
            dataset_id=dataset_id,
            name=name,
            source_sha256=source_sha256,
            format=read.format,
            encoding=read.encoding,
            columns=read.columns,
            mapping=read.mapping,
            validation=read.validation,
            num_train=len(split.train),
            num_eval=len(split.eval),
            eval_share=eval_share,
            seed=seed,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            sha256=_sha256_of_split(split),
            warnings=read.warnings,
        )
        self._keep(card, split)
        return self.card(dataset_id)

    def cards(self) -> tuple[DatasetCard, ...]:
        """All prepared datasets, newest first; a damaged folder is passed over and logged."""
        cards = []
        for folder in self._folder.iterdir():
            if folder.name.startswith(".") or not folder.is_dir():
                continue
            try:
                cards.append(_read_card(folder))
            except PersistenceError as error:
                _log.warning("%s", error.message)
        return tuple(sorted(cards, key=lambda card: card.created_at, reverse=True))

    def card(self, dataset_id: str) -> DatasetCard:
        """The card of one prepared dataset.

        Raises:
            StorageUnavailableError: There is none of that id.
            PersistenceError: Its card is damaged.
        """
        return _read_card(self.folder(dataset_id))

    def entries(
        self, dataset_id: str, split: Literal["train", "eval"], limit: int | None = None
    ) -> list[MedicalDataEntry]:
        """The entries to train on or those held out, in file order; the first `limit` of them.

        Raises:
            PersistenceError: There is none of that id, or its files are damaged.
        """
        return read_entries(self.folder(dataset_id) / f"{split}.jsonl")[:limit]

    def folder(self, dataset_id: str) -> Path:
        """The folder with `dataset.json`, `train.jsonl` and `eval.jsonl`.

        Raises:
            StorageUnavailableError: There is none of that id.
        """
        return child(self._folder, dataset_id)

    def delete(self, dataset_id: str) -> None:
        """Removes a prepared dataset; runs that used it have copies of their own.

        Raises:
            StorageUnavailableError: There is none of that id.
        """
        folder = self.folder(dataset_id)
        with translated_os_errors(self._folder):
            # Renamed first, so that no list ever shows half of it.
            doomed = Path(tempfile.mkdtemp(dir=self._folder, prefix=_TEMPORARY))
            folder.rename(doomed / folder.name)
            shutil.rmtree(doomed)

    def _keep(self, card: DatasetCard, split: Split) -> None:
        with (
            translated_os_errors(self._folder),
            tempfile.TemporaryDirectory(dir=self._folder, prefix=_TEMPORARY) as temporary,
        ):
            folder = Path(temporary) / card.dataset_id
            folder.mkdir()
            write_entries(folder / "train.jsonl", split.train)
            write_entries(folder / "eval.jsonl", split.eval)
            write_json(folder / _CARD, asdict(card))
            target = self._folder / card.dataset_id
            try:
                folder.rename(target)
            except OSError:
                if not (target / _CARD).is_file():  # else somebody prepared the same meanwhile
                    raise
            sync_folder(self._folder)


def _read_card(folder: Path) -> DatasetCard:
    try:
        fields = json.loads((folder / _CARD).read_text(encoding="utf-8"))
        return DatasetCard(
            **{
                **fields,
                "columns": tuple(fields["columns"]),
                "mapping": _mapping(fields["mapping"]),
                "validation": _validation(fields["validation"]),
                "warnings": tuple(fields["warnings"]),
            }
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise PersistenceError(
            f"The prepared dataset {folder.name} is damaged.",
            hint="Delete it and prepare it again.",
        ) from error


def _mapping(fields: dict[str, Any]) -> ColumnMapping:
    tuples = {name: tuple(fields[name]) for name in ("prompt", "options")}
    return ColumnMapping(**{**fields, **tuples})


def _validation(fields: dict[str, Any]) -> ValidationResult:
    return ValidationResult(
        is_valid=fields["is_valid"],
        counts=ValidationCounts(**fields["counts"]),
        issues=tuple(
            ValidationIssue(
                **{**issue, "rows": tuple(issue["rows"]), "places": tuple(issue["places"])}
            )
            for issue in fields["issues"]
        ),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(
            f"{path.name} cannot be read: {reason}.", hint="Choose another file."
        ) from error


def _sha256_of_split(split: Split) -> str:
    return _sha256(json.dumps([_plain(split.train), _plain(split.eval)]))


def _plain(entries: Iterable[MedicalDataEntry]) -> list[dict[str, Any]]:
    return [asdict(entry) for entry in entries]

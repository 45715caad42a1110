"""DatasetService: prepared datasets, as the tabs, the command line and a notebook cell see them.

A prepared dataset is a folder of the workspace, `datasets/<id>/`, with `dataset.json` (its card),
`train.jsonl` and `eval.jsonl`, and `tokens/` once tokens were counted. The id is made of the name,
the file's hash and the choices, so preparing the same again opens what is there. Reading files is
`services.imports`.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from medqlora.data.entries import iter_entries
from medqlora.data.formats import check_kind
from medqlora.data.fragmentation import TermFragments, TermSet, mean_pieces
from medqlora.data.loader import MedicalDatasetLoader
from medqlora.data.preparing.lengths import EntryLengths
from medqlora.data.preparing.prepared import CARD
from medqlora.data.preparing.proof import ProofSet
from medqlora.data.preparing.records import read_record, write_record
from medqlora.domain.dataset import ColumnMapping, DatasetCard, MedicalDataEntry, ReadResult
from medqlora.domain.preparing import Choices, LengthReport, TemplateProof
from medqlora.domain.snapshot import RunSnapshot
from medqlora.errors import PersistenceError
from medqlora.persistence.whole_folders import remove_whole, sweep
from medqlora.persistence.workspace import Workspace, child
from medqlora.runs.measure_job import LENGTHS, PROOFS, TERMS, tokens_folder
from medqlora.services.identity import dataset_id, is_hub, sha256_of_file
from medqlora.services.imports import SAMPLE_NAME, ImportService

PREVIEW_ENTRIES = 100

__all__ = ["DatasetService", "TermFragments", "mean_pieces"]

_log = logging.getLogger(__name__)


def _ignored(snapshot: RunSnapshot) -> None:
    """Nobody is watching."""


class DatasetService:
    """Datasets of one workspace.

    Args:
        workspace: The workspace.

    Attributes:
        imports: Reads files and prepares them, in workers.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._folder = workspace.datasets
        self._loader = MedicalDatasetLoader(scratch=workspace.uploads)
        self.imports = ImportService(workspace)

    @staticmethod
    def check_upload(path: Path) -> None:
        """Refuses a file that nothing here reads, by its content; see `formats.check_kind`.

        Raises:
            DataError: It is of no kind that is read.
        """
        check_kind(path)

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
        source: Path | str | None,
        *,
        mapping: ColumnMapping | None = None,
        eval_share: float = 0.1,
        seed: int = 42,
        choices: Choices | None = None,
        on_snapshot: Callable[[RunSnapshot], object] = _ignored,
    ) -> DatasetCard:
        """Imports and prepares a file in one call, and waits for it.

        Rows that are missing or corrupted are left out; repeated rows are kept and reported.

        Args:
            source: A file, or `hub:` and the name of a dataset of the hub; the sample that ships
                with the project when None.
            mapping: What the columns mean; found out when not given.
            eval_share: Share of the rows to hold out, 0 to 0.5; `choices` go before it.
            seed: Seed of the split; `choices` go before it.
            choices: Everything that can be chosen.
            on_snapshot: Told how the work stands.

        Raises:
            DataError: The file cannot be used, or there is too little to train on or to hold out.
            MappingNeededError: Its columns do not say by themselves what they mean.
            PhiDecisionNeededError: The PHI screen found something, and nobody said what to do.
            ConfigError: The share is out of range.
            DiskFullError: No space is left.
        """
        choices = choices or Choices(eval_share=eval_share, seed=seed)
        draft_id = None
        if not is_hub(source):
            path = Path(source) if source else None
            sha256 = sha256_of_file(path)
            name = path.name if path else SAMPLE_NAME
            found = dataset_id(name, sha256, mapping, choices)
            if self._exists(found):
                return self.use(found)
            draft_id = self._draft_of(name, sha256, mapping)
        if draft_id is None:
            draft_id = self.imports.start_import(source, mapping=mapping)
            self.imports.wait(draft_id, on_snapshot=on_snapshot)
        job_id = self.imports.start_preparing(draft_id, choices)
        self.imports.wait(job_id, on_snapshot=on_snapshot)
        card = self.prepared(job_id)
        self.imports.delete(draft_id)
        return card

    def prepared(self, job_id: str) -> DatasetCard:
        """The dataset that a job of `imports.start_preparing` made, moved to the top of the list.

        Raises:
            MedQLoRAError: The job failed or was stopped; of the kind that it reported.
        """
        self.imports.require_success(job_id)
        return self.use(Path(self.imports.spec(job_id).options["target"]).name)

    def cards(self) -> tuple[DatasetCard, ...]:
        """All prepared datasets, last used first; a damaged folder is passed over and logged."""
        cards = []
        for folder in self._folder.iterdir():
            if folder.name.startswith(".") or not folder.is_dir():
                continue
            try:
                cards.append(_read_card(folder))
            except PersistenceError as error:
                _log.warning("%s", error.message)
        return tuple(sorted(cards, key=lambda card: card.used_at or card.created_at, reverse=True))

    def card(self, dataset_id: str) -> DatasetCard:
        """The card of one prepared dataset.

        Raises:
            StorageUnavailableError: There is none of that id.
            PersistenceError: Its card is damaged.
        """
        return _read_card(self.folder(dataset_id))

    def use(self, dataset_id: str) -> DatasetCard:
        """Moves a dataset to the top of the list and returns its card; see `card` for errors."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        card = replace(self.card(dataset_id), used_at=now)
        write_record(self.folder(dataset_id) / CARD, card)
        return card

    def entries(
        self, dataset_id: str, split: Literal["train", "eval"], limit: int | None = None
    ) -> list[MedicalDataEntry]:
        """The entries to train on or those held out, in file order; the first `limit` of them.

        Raises:
            PersistenceError: There is none of that id, or its files are damaged.
        """
        entries = iter_entries(self.folder(dataset_id) / f"{split}.jsonl")
        return list(itertools.islice(entries, limit))

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
        remove_whole(self.folder(dataset_id))

    def start_measuring(self, source_id: str, model_name: str) -> str:
        """Starts counting tokens with a model's tokenizer and returns the job of `imports`.

        Args:
            source_id: A dataset, of which the training entries are counted, or a draft.
            model_name: The model.

        Raises:
            StorageUnavailableError: There is neither of that id.
        """
        return self.imports.start_measuring(self._source(source_id), model_name)

    def lengths(self, source_id: str, model_name: str, max_seq_length: int) -> LengthReport | None:
        """What a longest entry of `max_seq_length` tokens cuts off; None before it was measured.

        Raises:
            StorageUnavailableError: There is neither a dataset nor a draft of that id.
            ConfigError: The length is below 1.
        """
        file = tokens_folder(self._source(source_id), model_name) / LENGTHS
        if not file.exists():
            return None
        return EntryLengths.read(file).report(model_name, max_seq_length)

    def proofs(
        self, source_id: str, model_name: str, max_seq_length: int
    ) -> tuple[TemplateProof, ...]:
        """Entries as training shows them to the model: the first few and the longest.

        Empty before it was measured; see `lengths` for the errors.
        """
        file = tokens_folder(self._source(source_id), model_name) / PROOFS
        if not file.exists():
            return ()
        kept = read_record(ProofSet, file).proofs
        return tuple(one.cut_to(model_name, max_seq_length) for one in kept)

    def terms(self, source_id: str, model_name: str) -> tuple[TermFragments, ...]:
        """Drug names, units and abbreviations of the entries, those in the most tokens first.

        Empty before it was measured; see `lengths` for the errors.
        """
        file = tokens_folder(self._source(source_id), model_name) / TERMS
        return read_record(TermSet, file).terms if file.exists() else ()

    def attach(self) -> None:
        """Finds imports that outlived an earlier server and removes what killed ones left."""
        self.imports.attach()
        sweep(self._folder)

    def _exists(self, dataset_id: str) -> bool:
        return (self._folder / dataset_id / CARD).is_file()

    def _draft_of(self, name: str, sha256: str, mapping: ColumnMapping | None) -> str | None:
        """A draft of the same file, read with the same mapping."""
        wanted = (name, sha256, mapping)
        drafts = self.imports.drafts()
        known = {
            (one.provenance.name, one.provenance.sha256, one.asked_mapping): one.draft_id
            for one in drafts
        }
        return known.get(wanted)

    def _source(self, source_id: str) -> Path:
        if self._exists(source_id):
            return self.folder(source_id)
        return self.imports.directory(source_id).draft


def _read_card(folder: Path) -> DatasetCard:
    try:
        return read_record(DatasetCard, folder / CARD)
    except PersistenceError as error:
        raise PersistenceError(
            f"The prepared dataset {folder.name} is damaged.",
            hint="Delete it and prepare it again.",
        ) from error

"""ImportService: files become drafts, and drafts become datasets, in workers that can be cancelled.

A job lies in `imports/<id>/` of the workspace; a finished import leaves its draft there, with the
rows as they were read. Whatever a cancelled or killed job left is removed when the next one starts.
What prepared datasets are is `services.datasets`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from medqlora.data.cleaning import CLEANING_STEPS, CleaningExample
from medqlora.data.hub import HubName
from medqlora.data.phi.entries import KEEP_CONFIRMATION
from medqlora.data.preparing.finishing import decision_needed
from medqlora.data.preparing.records import DraftFiles, read_record
from medqlora.data.report import write_report
from medqlora.domain.dataset import ColumnMapping
from medqlora.domain.events import RunFailed, RunSucceeded
from medqlora.domain.jobs import JobKind, JobSpec
from medqlora.domain.preparing import Choices, ColumnQuestion, Draft, DraftRow, PhiExample
from medqlora.domain.snapshot import RunSnapshot
from medqlora.errors import (
    DataError,
    GpuBusyError,
    MappingNeededError,
    PersistenceError,
)
from medqlora.persistence.workspace import Workspace, slug
from medqlora.runs.run_directory import RunDirectory, new_run_id
from medqlora.services.identity import dataset_id, is_hub
from medqlora.services.jobs import JobService, failure_of

__all__ = ["CLEANING_STEPS", "KEEP_CONFIRMATION", "MAX_AT_ONCE", "SAMPLE_NAME", "ImportService"]

SAMPLE_NAME = "Sample: medical questions and answers"
MAX_AT_ONCE = 4
"""Files that are read or prepared at the same time; each may need a gigabyte of memory."""
MAX_COUNTS = 2
"""Token counts at the same time; the oldest makes room, because nobody may still look at it."""
DRAFTS_KEPT_SECONDS = 7 * 24 * 3600.0
"""A draft holds rows as they came, so that one nobody went on with is not kept for ever."""

_POLL_SECONDS = 0.05


def _ignored(snapshot: RunSnapshot) -> None:
    """Nobody is watching."""


class ImportService(JobService):
    """Imports, preparations and token counts of one workspace.

    Args:
        workspace: The workspace.
    """

    needs_machine: ClassVar[bool] = False
    stop_grace_seconds: ClassVar[float] = 5.0

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace, workspace.imports)

    def start_import(
        self,
        source: Path | str | None,
        *,
        mapping: ColumnMapping | None = None,
        name: str = "",
        model_name: str = "",
    ) -> str:
        """Starts reading a file and returns the id of the job, which is that of the draft.

        Args:
            source: A file, or `hub:` and the name of a dataset of the hub; the sample that ships
                with the project when None.
            mapping: What the columns mean; found out when not given.
            name: What the user calls it; the file's own name when empty.
            model_name: Also counts tokens with this model's tokenizer, when it is on this machine.

        Raises:
            DataError: There is no such file.
            GpuBusyError: Too many files are being read already.
        """
        given = str(source or "")
        if is_hub(source):
            HubName.parse(given)
        elif source is not None and not Path(source).is_file():
            raise DataError(
                f"{Path(source).name} is not a file that exists.", hint="Choose another file."
            )
        else:
            given = str(Path(source).resolve()) if source else ""
        shown = name or (Path(source).name if source else SAMPLE_NAME)
        options = {
            "source": given,
            "mapping": asdict(mapping) if mapping else None,
            "model_name": model_name,
        }
        return self._start("import", shown, options)

    def start_preparing(self, draft_id: str, choices: Choices) -> str:
        """Starts making a dataset of a draft and returns the id of the job.

        `dataset_id` gives the id that the dataset will have, or has already.

        Raises:
            PhiDecisionNeededError: The screen found something and `choices` say nothing about it.
            PersistenceError: There is no such draft.
        """
        draft = self.draft(draft_id)
        if choices.phi is None and draft.phi.num_rows_with_phi:
            raise decision_needed(dict(draft.phi.spans_by_kind), draft.phi.num_rows_with_phi)
        target = self._workspace.datasets / self.dataset_id(draft_id, choices)
        options = {
            "draft": str(self.directory(draft_id).draft),
            "choices": asdict(choices),
            "target": str(target),
        }
        return self._start("prepare", draft.provenance.name, options)

    def start_measuring(self, folder: Path, model_name: str) -> str:
        """Starts counting tokens of the entries in a draft's or dataset's folder.

        `services.datasets` gives the results. Returns the id of the job.
        """
        options = {"folder": str(folder), "model_name": model_name}
        return self._start("measure", model_name, options)

    def wait(
        self, job_id: str, *, on_snapshot: Callable[[RunSnapshot], object] = _ignored
    ) -> RunSnapshot:
        """Waits until a job is over; one that is interrupted meanwhile is cancelled.

        Raises:
            MedQLoRAError: It failed or was stopped; of the kind that it reported.
        """
        told = 0
        try:
            while True:
                snapshot = self.snapshot(job_id)
                if snapshot.seq > told:
                    told = snapshot.seq
                    on_snapshot(snapshot)
                if not snapshot.is_live:
                    break
                time.sleep(_POLL_SECONDS)
        except BaseException:
            self.stop(job_id)
            raise
        self.require_success(job_id)
        return snapshot

    def require_success(self, job_id: str) -> None:
        """Raises what a job that is over reported, unless it succeeded.

        Raises:
            MappingNeededError: The file's columns do not say by themselves what they mean.
            MedQLoRAError: It failed or was stopped; of the kind that it reported.
        """
        snapshot = self.snapshot(job_id)
        if isinstance(snapshot.outcome, RunSucceeded):
            return
        question = self.directory(job_id).column_question
        if isinstance(snapshot.outcome, RunFailed) and question.exists():
            raise _mapping_needed(snapshot.outcome, read_record(ColumnQuestion, question))
        raise failure_of(snapshot)

    def draft(self, draft_id: str) -> Draft:
        """What an import found.

        Raises:
            MedQLoRAError: It failed; of the kind that it reported.
            PersistenceError: There is no such draft, or the import is not done.
        """
        files = self._files(draft_id)
        if not files.record.exists():
            if self.snapshot(draft_id).is_live:
                raise PersistenceError(
                    "This file is still being read.", hint="Wait until it is done."
                )
            self.require_success(draft_id)
        return read_record(Draft, files.record)

    def drafts(self) -> tuple[Draft, ...]:
        """All drafts, newest first."""
        return self.readable(
            lambda one: self.draft(one.run_id) if DraftFiles(one.draft).record.exists() else None
        )

    def rows(self, draft_id: str, *, start: int = 0, limit: int = 20) -> tuple[DraftRow, ...]:
        """Rows of a draft in file order, from the one at position `start` on."""
        found = []
        for position, row in enumerate(self._files(draft_id).iter_rows()):
            if position >= start + limit:
                break
            if position >= start:
                found.append(row)
        return tuple(found)

    def phi_examples(self, draft_id: str, kind: str = "") -> tuple[PhiExample, ...]:
        """A few findings of the PHI screen with the text around them, of one kind or of all."""
        examples = read_record(tuple[PhiExample, ...], self._files(draft_id).phi_examples)
        return tuple(one for one in examples if kind in ("", one.kind))

    def cleaning_examples(self, draft_id: str) -> dict[str, tuple[CleaningExample, ...]]:
        """A few texts before and after each cleaning step, by the step's name."""
        file = self._files(draft_id).cleaning_examples
        return read_record(dict[str, tuple[CleaningExample, ...]], file)

    def write_reports(self, draft_id: str, folder: Path) -> tuple[Path, Path]:
        """Writes what checking found as a page and as a table for a spreadsheet.

        Raises:
            PersistenceError: There is no such draft.
            DiskFullError: No space is left.
        """
        draft = self.draft(draft_id)
        stem = f"{slug(draft.name, 'data')}-report"
        page, table = folder / f"{stem}.html", folder / f"{stem}.csv"
        for path in (page, table):
            write_report(path, draft)
        return page, table

    def dataset_id(self, draft_id: str, choices: Choices) -> str:
        """The id of the dataset that these choices make of a draft."""
        draft = self.draft(draft_id)
        return dataset_id(
            draft.provenance.name, draft.provenance.sha256, draft.asked_mapping, choices
        )

    def sweep(self, *, is_start: bool = False) -> None:
        """Removes what cancelled and killed jobs left, and drafts that are too old.

        Args:
            is_start: Whether the server has just started, so that nobody looks at a job that ended
                without a draft.
        """
        oldest = time.time() - DRAFTS_KEPT_SECONDS
        for directory in self.directories():
            with suppress(PersistenceError):  # a damaged one goes when it is old
                if self.snapshot(directory.run_id).is_live:
                    continue
            shutil.rmtree(directory.partial, ignore_errors=True)
            is_old = directory.path.stat().st_mtime < oldest
            if is_old or (is_start and not directory.draft.exists()):
                self.delete(directory.run_id)

    def attach(self) -> None:
        """Finds jobs that outlived an earlier server, and sweeps."""
        super().attach()
        self.sweep(is_start=True)

    def _files(self, draft_id: str) -> DraftFiles:
        return DraftFiles(self.directory(draft_id).draft)

    def _live(self, *kinds: JobKind) -> list[str]:
        """The jobs of these kinds that are going on, oldest first."""
        live = (run_id for run_id, one in self._supervisors() if one.snapshot.is_live)
        return sorted(run_id for run_id in live if self.spec(run_id).kind in kinds)

    def _start(self, kind: JobKind, name: str, options: Mapping[str, object]) -> str:
        self.sweep()
        counts = self._live("measure")
        if kind == "measure":
            for surplus in counts[: len(counts) - MAX_COUNTS + 1]:
                self.stop(surplus)
        elif len(self._live("import", "prepare")) >= MAX_AT_ONCE:
            raise GpuBusyError(
                f"{MAX_AT_ONCE} files are being read already.",
                hint="Wait until one of them is done, or cancel it.",
            )
        job_id = new_run_id(name)
        spec = JobSpec(
            run_id=job_id,
            kind=kind,
            name=name,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            config={},
            models_dir=str(self._workspace.models),
            options=options,
        )
        return self._begin(job_id, lambda: RunDirectory.create(self._folder / job_id, spec))


def _mapping_needed(failed: RunFailed, question: ColumnQuestion) -> MappingNeededError:
    return MappingNeededError(
        failed.message,
        hint=failed.hint,
        columns=question.columns,
        candidates=question.candidates,
        samples=question.samples,
    )

"""The jobs `import` and `prepare`: a file becomes a draft, a draft becomes a dataset.

What they write appears in one step when it is complete; until then it lies in the job's `partial`
folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from medqlora.data.hub import PREFIX, HubName, fetch_hub_dataset
from medqlora.data.loader import sample_path
from medqlora.data.preparing.drafting import SourceFile, write_draft
from medqlora.data.preparing.finishing import finish
from medqlora.data.preparing.prepared import CARD
from medqlora.data.preparing.records import DraftFiles, as_record, read_record, write_record
from medqlora.domain.dataset import ColumnMapping
from medqlora.domain.events import Outcome, RunStopped, RunSucceeded, RunWarned
from medqlora.domain.preparing import Choices, ColumnQuestion, Draft
from medqlora.errors import DataError, MappingNeededError, ModelError
from medqlora.persistence.atomic import sync_folder
from medqlora.runs.job import Job
from medqlora.runs.measure_job import measure_into
from medqlora.runs.progress import RowProgress, Stopped, partial_folder

_HASHED_BYTES = 1 << 22


def import_file(job: Job) -> Outcome:
    """Reads a file into the job's draft."""
    options = job.spec.options
    given = options["mapping"]
    progress = RowProgress(job)
    with partial_folder(job) as folder:
        try:
            source = _source(options["source"], folder.parent, progress)
            draft = write_draft(
                source,
                folder,
                draft_id=job.spec.run_id,
                name=job.spec.name,
                sha256=_sha256(source.path, progress),
                mapping=as_record(ColumnMapping, given) if given else None,
                on_rows=lambda rows: progress.say("Reading, checking and screening", rows),
            )
        except Stopped as stopped:
            return RunStopped(step=stopped.num_rows)
        except MappingNeededError as error:
            question = ColumnQuestion(
                columns=error.columns, candidates=error.candidates, samples=error.samples
            )
            write_record(job.directory.column_question, question)
            raise
        folder.rename(job.directory.draft)
        sync_folder(job.directory.path)
    if options["model_name"]:
        _measure_as_well(job, options["model_name"])
    return RunSucceeded(metrics={"entries": float(draft.num_entries)})


def _measure_as_well(job: Job, model_name: str) -> None:
    """Counts tokens where the tokenizer can be had; the draft is there either way."""
    with partial_folder(job) as folder:
        try:
            measure_into(job, job.directory.draft, model_name, folder)
        except Stopped:
            return
        except ModelError as error:
            job.report(
                RunWarned(message=f"Tokens were not counted. {error.message}", hint=error.hint)
            )


def prepare(job: Job) -> Outcome:
    """Makes a dataset of a draft, unless the very same is there."""
    options = job.spec.options
    target = Path(options["target"])
    files = DraftFiles(Path(options["draft"]))
    draft = read_record(Draft, files.record)
    progress = RowProgress(job, total=draft.num_entries)
    with partial_folder(job) as folder:
        try:
            card = finish(
                draft,
                files,
                as_record(Choices, options["choices"]),
                folder,
                dataset_id=target.name,
                on_rows=progress.say,
            )
        except Stopped as stopped:
            return RunStopped(step=stopped.num_rows)
        try:
            folder.rename(target)
        except OSError:
            if not (target / CARD).is_file():  # else somebody prepared the same meanwhile
                raise
        sync_folder(target.parent)
    return RunSucceeded(metrics={"train": float(card.num_train), "eval": float(card.num_eval)})


def _source(given: str, folder: Path, progress: RowProgress) -> SourceFile:
    """The file that is meant, fetched from the hub where it is there."""
    if not given.startswith(PREFIX):
        return SourceFile(Path(given) if given else sample_path())
    fetched = fetch_hub_dataset(
        HubName.parse(given), folder, on_row=lambda row: progress.say("Fetching", row)
    )
    return SourceFile(fetched.path, revision=fetched.revision, licence=fetched.licence)


def _sha256(path: Path, progress: RowProgress) -> str:
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_HASHED_BYTES):
                hasher.update(block)
                progress.say("Looking at the file", 0)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(
            f"{path.name} cannot be read: {reason}.", hint="Choose another file."
        ) from error
    return hasher.hexdigest()

"""Brings a run or dataset back from a mirror: into the workspace as a whole, or not at all.

What comes from a mirror may have been written by anybody, so it is read as what it should be before
it becomes one of this workspace. Going on with a run is the training service's work.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medqlora.config.qlora import QLoRAConfig
from medqlora.data.preparing.prepared import check_prepared
from medqlora.domain.events import RunWarned
from medqlora.domain.jobs import JobSpec
from medqlora.errors import (
    DiskFullError,
    MedQLoRAError,
    PersistenceError,
    StorageUnavailableError,
)
from medqlora.models.catalog import check_id
from medqlora.persistence.atomic import sync_folder, translated_os_errors, write_json
from medqlora.persistence.mirror import Fetched, Mirror
from medqlora.persistence.mirror_manifest import DATASETS, RUNS, MirroredState
from medqlora.persistence.workspace import Workspace, is_id
from medqlora.runs.attempts import settle
from medqlora.runs.event_log import EventLogWriter
from medqlora.runs.related import bring_back
from medqlora.runs.run_directory import RunDirectory


def restore(mirror: Mirror, workspace: Workspace, run_id: str) -> Fetched:
    """Makes the newest whole copy of a run a run of this workspace.

    Raises:
        PersistenceError: A run with that id is here already, or there is no whole copy.
        StorageUnavailableError: The mirror cannot be reached.
        DiskFullError: There is no space for it here.
    """
    target = workspace.runs / run_id
    if not is_id(run_id) or target.exists():
        raise PersistenceError(
            "This run is in the workspace already.",
            hint="Nothing was overwritten; resume it from the list of runs.",
        )
    with _inbox(workspace) as inbox:
        fetched = mirror.fetch(f"{RUNS}/{run_id}", inbox / run_id)
        run = RunDirectory(inbox / run_id)
        _adopt(run, workspace)
        if fetched.num_passed_over:
            _say_what_was_lost(run, fetched)
        settle(run)
        # First what belongs to the run: once the run is here, it is not brought back again.
        num_refused = bring_back(run, workspace) + fetched.num_left_out
        if num_refused:
            _say_what_was_left_out(run, num_refused)
        _move_in(run.path, target)
    return fetched


def restore_dataset(mirror: Mirror, workspace: Workspace, dataset_id: str) -> Fetched:
    """Makes the newest whole copy of a dataset a dataset of this workspace.

    Raises:
        PersistenceError: One with that id is here already, there is no whole copy, or what is
            there is no dataset of ours.
        StorageUnavailableError: The mirror cannot be reached.
        DiskFullError: There is no space for it here.
    """
    target = workspace.datasets / dataset_id
    if not is_id(dataset_id) or target.exists():
        raise PersistenceError(
            "This dataset is in the workspace already.",
            hint="Nothing was overwritten; choose it from the list of datasets.",
        )
    with _inbox(workspace) as inbox:
        fetched = mirror.fetch(f"{DATASETS}/{dataset_id}", inbox / dataset_id)
        check_prepared(inbox / dataset_id, dataset_id)
        _move_in(inbox / dataset_id, target)
    return fetched


def restore_datasets(mirror: Mirror, workspace: Workspace) -> tuple[list[MirroredState], list[str]]:
    """Brings every dataset back that the mirror has and the workspace has not.

    Returns:
        Those that are back, and a sentence for each that is not, because it is damaged there or
        because the mirror or the disk gave out after the first were back.

    Raises:
        PersistenceError: There is none that is not here.
        StorageUnavailableError: The mirror cannot be reached.
        DiskFullError: There is no space for the first of them here.
    """
    there = mirror.listing(DATASETS)
    here = {f"{DATASETS}/{one.name}" for one in workspace.datasets.iterdir()}
    elsewhere = [one for one in there.newest if one.folder not in here]
    damaged = [one for one in there.damaged if one not in here]
    if not elsewhere and not damaged:
        raise PersistenceError(
            "The mirror has no dataset that is not here already.",
            hint="Choose one from the list, or prepare one.",
        )
    back: list[MirroredState] = []
    not_back = [f"{folder}: the mirror has no whole copy of it." for folder in damaged]
    for state in elsewhere:
        try:
            restore_dataset(mirror, workspace, state.folder.partition("/")[2])
        except PersistenceError as error:
            if isinstance(error, StorageUnavailableError | DiskFullError) and not back:
                raise
            not_back.append(f"{state.name}: {error.message}")
        else:
            back.append(state)
    return back, not_back


def _move_in(folder: Path, target: Path) -> None:
    with translated_os_errors(target.parent):
        # Refuses a folder with something in it, should another have been faster.
        os.rename(folder, target)
        sync_folder(target.parent)


@contextmanager
def _inbox(workspace: Workspace) -> Iterator[Path]:
    """An empty folder for what is brought back, for one at a time; gone afterwards."""
    inbox = workspace.inbox
    with translated_os_errors(workspace.root):
        workspace.mirror.mkdir(exist_ok=True)
        claim = os.open(workspace.mirror / "inbox.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(claim)
        raise PersistenceError(
            "Something is being brought back already.", hint="Wait until it is in its list."
        ) from None
    try:
        with translated_os_errors(workspace.root):
            shutil.rmtree(inbox, ignore_errors=True)
            inbox.mkdir()
        yield inbox
    finally:
        shutil.rmtree(inbox, ignore_errors=True)
        os.close(claim)


def _adopt(run: RunDirectory, workspace: Workspace) -> None:
    """Checks what the run says of itself, and makes its paths this machine's."""
    try:
        values = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
        spec = JobSpec(**{**values, "models_dir": str(workspace.models), "adapter_dir": ""})
        check_id(QLoRAConfig.from_dict(spec.config).model_name)
        events = run.read_events()
        is_ours = spec.kind == "train" and spec.run_id == run.run_id and bool(events)
        is_ours = is_ours and isinstance(spec.name, str) and isinstance(spec.dataset["name"], str)
    except (MedQLoRAError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _not_a_run() from error
    if not is_ours or not (run.train_entries.is_file() and run.eval_entries.is_file()):
        raise _not_a_run()
    write_json(run.path / "run.json", spec.to_json())


def _not_a_run() -> PersistenceError:
    return PersistenceError(
        "The copy in the mirror is not a run that this app made.",
        hint="Choose another run, or another mirror.",
    )


def _say_what_was_left_out(run: RunDirectory, num_refused: int) -> None:
    with EventLogWriter(run.events, run_id=run.run_id) as log:
        log.append(
            RunWarned(
                message=f"{num_refused} records of evaluations or reviews in the mirror were "
                "damaged and were left out.",
                hint="Everything else of the run is back; those can be made again.",
            )
        )


def _say_what_was_lost(run: RunDirectory, fetched: Fetched) -> None:
    with EventLogWriter(run.events, run_id=run.run_id) as log:
        log.append(
            RunWarned(
                message="The newest copy in the mirror was damaged, so the one before was used.",
                hint=f"The run goes on from step {fetched.state.step}.",
            )
        )

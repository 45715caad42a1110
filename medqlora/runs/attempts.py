"""How an attempt at a job begins and ends in its log, where the worker cannot write that itself."""

from __future__ import annotations

import signal
from contextlib import suppress

import psutil

from medqlora.domain.events import (
    Event,
    Outcome,
    ParametersAdjusted,
    RunFailed,
    RunStarted,
    RunSucceeded,
    RunWarned,
)
from medqlora.domain.jobs import JobKind
from medqlora.errors import DiskFullError, MedQLoRAError, PersistenceError
from medqlora.recovery import RELOADING
from medqlora.runs.event_log import EventLogWriter
from medqlora.runs.origins import checkpoints_of, differences_in, refuse_differences
from medqlora.runs.process import end_processes, recorded_process
from medqlora.runs.retrying import EXIT_DISK_FULL, action_before_next
from medqlora.runs.run_directory import RunDirectory
from medqlora.runs.run_queue import queue_mark


def open_attempt(directory: RunDirectory) -> None:
    """Writes `RunStarted`, from the newest whole checkpoint, and what is otherwise than before.

    That is a newer checkpoint that was damaged, differences from the checkpoint that the user has
    accepted, and settings that need less memory after an attempt that ran out of it.

    Raises:
        DiskFullError: No space is left.
        StorageUnavailableError: The run's folder cannot be written.
        PersistenceError: It is done.
    """
    spec = directory.spec()
    action = action_before_next(directory)
    checkpoints = checkpoints_of(directory)
    newest = checkpoints.newest_step()
    valid = checkpoints.newest_valid()
    if spec.kind == "train":
        checkpoints.check_space()
    step = valid.step if valid else 0
    events: list[Event] = [RunStarted(job=spec.kind, resumed_from_step=step)]
    if step != newest:
        events.append(
            RunWarned(
                message=f"The checkpoint of step {newest} is damaged and was set aside.",
                hint=f"The run goes on from step {step}." if step else "The run begins again.",
            )
        )
    accepted = differences_in(directory, valid) if valid else ()
    if accepted:
        events.append(
            RunWarned(
                message=f"Since the checkpoint something has changed: {'; '.join(accepted)}.",
                hint="You accepted it; the result is not the one of an uninterrupted run.",
            )
        )
    if action and action.adjustments:
        events.append(ParametersAdjusted(adjustments=action.adjustments))
    elif action:
        events.append(
            RunWarned(message="Memory ran out while the model was being loaded.", hint=RELOADING)
        )
    with EventLogWriter(directory.events, run_id=spec.run_id) as log:
        earlier = directory.snapshot()
        if isinstance(earlier.outcome, RunSucceeded):  # another process was faster
            raise nothing_to_resume()
        if earlier.attempt and earlier.outcome is None:  # its end could not be written then
            log.append(died(None, spec.kind))
        for event in events:
            log.append(event)
    with suppress(OSError):  # its turn has come; a mark that stays is one of an earlier attempt
        directory.queued.unlink(missing_ok=True)


def close_attempt(directory: RunDirectory, outcome: Outcome) -> None:
    """Writes the end of an attempt whose worker is gone, unless another watcher has."""
    with EventLogWriter(directory.events, run_id=directory.run_id) as log:
        if directory.snapshot().outcome is None:
            log.append(outcome)


def nothing_to_resume() -> PersistenceError:
    """The error for a job that is done or still running."""
    return PersistenceError(
        "This run is done or still running, so there is nothing to resume.",
        hint="Choose a run that was stopped or interrupted.",
    )


def turn_down(directory: RunDirectory, error: MedQLoRAError) -> None:
    """Takes a run out of the queue that cannot begin or go on, and writes down why.

    It must not keep the others from their turn.
    """
    with suppress(MedQLoRAError):  # a log that is damaged or out of reach
        if directory.snapshot().attempt == 0:
            close_attempt(
                directory, RunFailed(code=error.code, message=error.message, hint=error.hint)
            )
        else:
            warning = f"Its turn in the queue came, and it could not go on. {error.message}"
            with EventLogWriter(directory.events, run_id=directory.run_id) as log:
                log.append(RunWarned(message=warning, hint=error.hint))
    directory.queued.unlink(missing_ok=True)


def is_due(directory: RunDirectory) -> bool:
    """Whether a run that was queued can begin or go on now; a mark of an earlier turn is removed.

    Raises:
        CheckpointDiffersError: It would go on with something else than its checkpoint was made
            with, and that was not accepted.
    """
    mark = queue_mark(directory)
    if mark is None:
        return False
    if mark.attempt != directory.snapshot().attempt:
        directory.queued.unlink(missing_ok=True)
        return False
    if mark.attempt and not mark.accepts_differences:
        refuse_differences(directory)
    return True


def can_take_turn(directory: RunDirectory) -> bool:
    """As `is_due`; a run that cannot go on loses its turn, and its log says why."""
    try:
        return is_due(directory)
    except MedQLoRAError as error:
        turn_down(directory, error)
        return False


def settle(directory: RunDirectory) -> psutil.Process | None:
    """The live worker of a run; where a run has neither worker nor end, the end is written.

    Called for every run when a server starts: it finds workers to watch and runs that were
    interrupted.
    """
    worker = recorded_process(directory.worker_file)
    snapshot = directory.snapshot()
    mark = queue_mark(directory)
    if mark and mark.attempt != snapshot.attempt:
        directory.queued.unlink(missing_ok=True)  # its turn had come
    if worker is None and snapshot.outcome is None and not directory.queued.exists():
        end_processes(directory.path)  # one of them may hold the log
        close_attempt(directory, died(None, directory.spec().kind))
    return worker


def _how(exit_code: int | None) -> str:
    """What whoever is asked for help wants to know: a crash of a library is a signal, too."""
    if exit_code is None:
        return ""
    with suppress(ValueError):
        return f": its process ended with {signal.Signals(-exit_code).name}"
    return f": its process ended with exit code {exit_code}"


def died(exit_code: int | None, kind: JobKind) -> RunFailed:
    """Why a worker that wrote no end is gone, as far as its exit code tells."""
    resumes = kind in ("train", "evaluate", "benchmark")
    if exit_code == EXIT_DISK_FULL:
        return RunFailed(
            code=DiskFullError.code,
            message="The disk is full, so that not even the end of the job could be written.",
            hint="Free some space (old runs can be deleted), then "
            + ("press Resume: it goes on from the last checkpoint." if resumes else "try again."),
        )
    if exit_code == -signal.SIGKILL:
        return RunFailed(
            code="killed",
            message=(
                # Of a training it is known here that RAM was not short; see the supervisor.
                "The system or somebody ended the job (kill -9)."
                if kind == "train"
                else "The system ended the job, most likely because memory (RAM) ran out."
            ),
            hint=(
                "Resume goes on from the last checkpoint; if it happens again, choose a smaller "
                "batch or model, because memory (RAM) may be short."
                if resumes
                else "Start it again; if it happens again, give a part of the file."
            ),
        )
    return RunFailed(
        code="interrupted",
        message=f"The job was interrupted{_how(exit_code)}.",
        hint="Resume goes on from the last checkpoint." if resumes else "Start it again.",
    )

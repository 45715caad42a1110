"""The worker: the process that does one job, `python -m medqlora.runs.worker RUN_DIR`.

The supervisor has opened the attempt with `RunStarted`. The worker owns the event log while it
lives and ends the attempt in exactly one of `RunSucceeded`, `RunStopped` and `RunFailed`; what a
kill prevents, the supervisor adds. Its standard output is the run's `worker.log`, where neither
messages of foreign exceptions nor rows of data are written.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from medqlora.colab.session import SessionManager
from medqlora.domain.artifacts import CheckpointInfo
from medqlora.domain.events import Outcome, PhaseChanged, RunFailed, RunStarted
from medqlora.domain.jobs import JobKind, JobSpec
from medqlora.errors import DiskFullError, MedQLoRAError
from medqlora.runs.benchmark_job import examine
from medqlora.runs.evaluate_job import evaluate
from medqlora.runs.event_log import EventLogWriter
from medqlora.runs.heartbeat import PATIENCE_SECONDS, Heartbeat
from medqlora.runs.import_job import import_file, prepare
from medqlora.runs.job import Job
from medqlora.runs.launcher import die_with_launcher, leave_word
from medqlora.runs.measure_job import measure
from medqlora.runs.origins import checkpoints_of
from medqlora.runs.retrying import EXIT_DISK_FULL
from medqlora.runs.run_directory import RunDirectory
from medqlora.runs.session_watch import SessionWatch
from medqlora.runs.train_job import train
from medqlora.training.distributed import is_main_process, is_peer_lost, world_size
from medqlora.training.failures import card_failure

JOBS: Mapping[JobKind, Callable[[Job], Outcome]] = {
    "train": train,
    "evaluate": evaluate,
    "import": import_file,
    "prepare": prepare,
    "measure": measure,
    "benchmark": examine,
}


def main(arguments: list[str] | None = None) -> int:
    """Does the job of a directory.

    Returns:
        The exit code: 0 done or stopped, 1 failed, `EXIT_DISK_FULL` when the end could not be
        written.
    """
    parser = argparse.ArgumentParser(prog="python -m medqlora.runs.worker")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, metavar="SECONDS")
    options = parser.parse_args(arguments)
    directory = RunDirectory(options.run_dir.resolve())
    spec = directory.spec()
    if world_size() > 1:
        die_with_launcher()
    if not is_main_process():
        return _follow(directory, spec)
    with EventLogWriter(directory.events, run_id=spec.run_id) as log:
        heartbeat = Heartbeat(directory.heartbeat, log.append, patience_seconds=options.patience)
        with heartbeat:
            watch = SessionWatch(SessionManager(), heartbeat.report)
            outcome = _attempt(directory, spec, watch)
        if outcome is None:
            return 1
        try:
            log.append(outcome)
        except DiskFullError:
            return EXIT_DISK_FULL
    return 1 if isinstance(outcome, RunFailed) else 0


def _follow(directory: RunDirectory, spec: JobSpec) -> int:
    """Does the job beside the main process, which reports and saves."""
    unheard = SessionWatch(SessionManager(), lambda event: event)
    outcome = _attempt(directory, spec, unheard)
    if isinstance(outcome, RunFailed):
        leave_word(outcome)
    return 1 if outcome is None or isinstance(outcome, RunFailed) else 0


def _checkpoint(directory: RunDirectory) -> CheckpointInfo | None:
    """The checkpoint that the attempt's `RunStarted` names.

    Whoever started the worker has chosen it.
    """
    started = [event for event in directory.read_events() if isinstance(event, RunStarted)][-1]
    if not started.resumed_from_step:
        return None
    return checkpoints_of(directory).validate(started.resumed_from_step)


def _attempt(directory: RunDirectory, spec: JobSpec, watch: SessionWatch) -> Outcome | None:
    """Does the job; None when another process is gone, whose end is the attempt's."""
    watch.report(PhaseChanged(phase="Loading the libraries"))
    try:
        job = Job(
            directory=directory,
            spec=spec,
            report=watch.report,
            checkpoint=_checkpoint(directory),
            should_save=watch.take_save_request,
        )
        return JOBS[spec.kind](job)
    except MedQLoRAError as error:
        _print_trace(error)
        if is_peer_lost(error):
            return None
        return RunFailed(code=error.code, message=error.message, hint=error.hint)
    except Exception as error:
        _print_trace(error)
        if is_peer_lost(error):
            return None
        card = card_failure(error)
        if card:
            return RunFailed(code=card.code, message=card.message, hint=card.hint)
        return RunFailed(
            code="unexpected",
            message=f"The job ended because of an unexpected {type(error).__name__}.",
            hint=(
                "Details are in worker.log in the run's folder; a resume goes on from the "
                "last checkpoint."
            ),
        )


def _print_trace(error: BaseException) -> None:
    """Where it happened, without the message: foreign messages may quote a row."""
    cause: BaseException | None = error
    while cause is not None:
        print(f"{type(cause).__module__}.{type(cause).__qualname__}", file=sys.stderr)
        traceback.print_tb(cause.__traceback__, file=sys.stderr)
        cause = cause.__cause__


if __name__ == "__main__":
    sys.exit(main())

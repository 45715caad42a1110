"""RunSupervisor: one named thread that owns one worker process.

It opens the attempt, starts the worker (or finds one that outlived the server), folds its log, ends
it firmly when a polite stop is not enough, and writes the end of an attempt whose worker died. It
decides nothing about training.
"""

from __future__ import annotations

import signal
import threading
import time

import psutil

from medqlora.domain.events import Event, Outcome, RunFailed, RunStarted, RunStopped, RunWarned
from medqlora.domain.jobs import JobKind, JobSpec
from medqlora.domain.snapshot import RunSnapshot, apply
from medqlora.persistence.checkpoints import CheckpointManager
from medqlora.runs.event_log import EventLogReader, EventLogWriter
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.process import recorded_process, start_worker
from medqlora.runs.run_directory import RunDirectory

POLL_SECONDS = 0.2
STOP_GRACE_SECONDS = 120.0
"""A step and a checkpoint fit into this; a worker that needs longer is terminated."""
TERMINATE_GRACE_SECONDS = 10.0
"""A worker that is still there after this is killed."""


class RunSupervisor:
    """Watches one attempt at a run until its worker is gone.

    Args:
        directory: The run.
        stop_grace_seconds: How long it may take to stop when asked, before it is terminated.
    """

    def __init__(
        self, directory: RunDirectory, *, stop_grace_seconds: float = STOP_GRACE_SECONDS
    ) -> None:
        self.directory = directory
        self._stop_grace_seconds = stop_grace_seconds
        self._reader = EventLogReader(directory.events)
        self._snapshot = RunSnapshot(run_id=directory.run_id)
        self._unfolded: list[Event] = []
        self._stop_asked_at: float | None = None

    @property
    def snapshot(self) -> RunSnapshot:
        """The run as of the last poll."""
        return self._snapshot

    def start(self, lease: GpuLease | None) -> None:
        """Opens an attempt and starts a worker that inherits `lease`, if its work needs one."""
        try:
            self.directory.stop_file.unlink(missing_ok=True)
            open_attempt(self.directory)
            with self.directory.worker_log.open("a", encoding="utf-8") as log:
                worker = start_worker(
                    _module(self.directory.spec()),
                    [str(self.directory.path)],
                    stdout=log,
                    stderr=log,
                    keep_open=[lease.descriptor] if lease else [],
                )
        finally:
            if lease:
                lease.close()
        self._watch_from_now(worker)

    def attach(self, worker: psutil.Process) -> None:
        """Watches a worker that outlived the server that started it."""
        self._watch_from_now(worker)

    def request_stop(self) -> None:
        """Asks the worker to stop after its step; asking again changes nothing."""
        self.directory.stop_file.touch()
        if self._stop_asked_at is None:
            self._stop_asked_at = time.monotonic()

    @property
    def is_watching(self) -> bool:
        """Whether the attempt is going on."""
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        """Waits until the attempt is over."""
        self._thread.join(timeout)

    def _watch_from_now(self, worker: psutil.Process) -> None:
        self._catch_up()
        self._thread = threading.Thread(
            target=self._watch, args=(worker,), name=f"run-{self.directory.run_id}", daemon=True
        )
        self._thread.start()

    def _watch(self, worker: psutil.Process) -> None:
        while True:
            exit_code, is_over = _wait(worker)
            if is_over:
                break
            self._catch_up(is_worker_alive=True)
            self._press(worker)
        self._catch_up()
        if self._snapshot.outcome is None:
            close_attempt(self.directory, self._death(exit_code))
            self._catch_up()

    def _catch_up(self, *, is_worker_alive: bool = False) -> None:
        self._unfolded += self._reader.read_new()
        while self._unfolded:
            # An attempt is over when its worker is gone and the machine is free, not before.
            if is_worker_alive and isinstance(self._unfolded[0], Outcome):
                return
            self._snapshot = apply(self._snapshot, self._unfolded.pop(0))

    def _press(self, worker: psutil.Process) -> None:
        """Ends a worker that was asked to stop and does not."""
        if self._stop_asked_at is None:
            return
        waited = time.monotonic() - self._stop_asked_at
        if waited > self._stop_grace_seconds + TERMINATE_GRACE_SECONDS:
            worker.kill()
        elif waited > self._stop_grace_seconds:
            worker.terminate()

    def _death(self, exit_code: int | None) -> Outcome:
        if self._stop_asked_at is not None:
            step = self._snapshot.last_step.step if self._snapshot.last_step else 0
            return RunStopped(step=step, checkpoint_step=self._snapshot.checkpoint_step)
        return died(exit_code, self.directory.spec().kind)


def open_attempt(directory: RunDirectory) -> None:
    """Writes `RunStarted`, from the newest whole checkpoint; warns when a newer one was damaged."""
    spec = directory.spec()
    checkpoints = CheckpointManager(directory.checkpoints)
    newest = checkpoints.newest_step()
    valid = checkpoints.newest_valid()
    step = valid.step if valid else 0
    events: list[Event] = [RunStarted(job=spec.kind, resumed_from_step=step)]
    if step != newest:
        events.append(
            RunWarned(
                message=f"The checkpoint of step {newest} is damaged and was set aside.",
                hint=f"The run goes on from step {step}.",
            )
        )
    with EventLogWriter(directory.events, run_id=spec.run_id) as log:
        for event in events:
            log.append(event)


def close_attempt(directory: RunDirectory, outcome: Outcome) -> None:
    """Writes the end of an attempt whose worker is gone, unless another watcher has."""
    with EventLogWriter(directory.events, run_id=directory.run_id) as log:
        if directory.snapshot().outcome is None:
            log.append(outcome)


def settle(directory: RunDirectory) -> psutil.Process | None:
    """The live worker of a run that has not ended; without one, the end is written.

    Called for every run when a server starts: it finds workers to watch and runs that were
    interrupted.
    """
    if directory.snapshot().outcome is not None:
        return None
    worker = recorded_process(directory.worker_file)
    if worker is None:
        close_attempt(directory, died(None, directory.spec().kind))
    return worker


def died(exit_code: int | None, kind: JobKind) -> RunFailed:
    """Why a worker that wrote no end is gone, as far as its exit code tells."""
    resumes = kind in ("train", "evaluate")
    if exit_code == -signal.SIGKILL:
        return RunFailed(
            code="killed",
            message="The system ended the job, most likely because memory (RAM) ran out.",
            hint=(
                "Choose a smaller batch or model if it happens again, then resume from "
                "the last checkpoint."
                if resumes
                else "Start it again; if it happens again, give a part of the file."
            ),
        )
    return RunFailed(
        code="interrupted",
        message="The job was interrupted.",
        hint="Resume goes on from the last checkpoint." if resumes else "Start it again.",
    )


def _module(spec: JobSpec) -> str:
    """What does a job: a worker, or the launcher of several."""
    is_shared = spec.kind == "train" and spec.config.get("num_processes", 1) != 1
    return "medqlora.runs.launcher" if is_shared else "medqlora.runs.worker"


def _wait(worker: psutil.Process) -> tuple[int | None, bool]:
    """Exit code and whether the worker is gone; the code is known of our own children only."""
    try:
        return worker.wait(timeout=POLL_SECONDS), True
    except psutil.TimeoutExpired:
        return None, False

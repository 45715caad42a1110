"""RunSupervisor: one named thread that owns one worker process.

It opens the attempt, starts the worker (or finds one that outlived the server), folds its log, ends
it firmly when a polite stop is not enough or nothing happens any more, kills what the worker left
running, and writes the end of an attempt whose worker died. It decides nothing about training.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import psutil

from medqlora.domain.events import Event, Outcome, RunFailed, RunStarted, RunWarned
from medqlora.domain.jobs import JobKind
from medqlora.domain.snapshot import RunSnapshot, apply
from medqlora.errors import PersistenceError, SessionError
from medqlora.persistence.checkpoints import CheckpointManager
from medqlora.runs.endings import Ending, HungEnding
from medqlora.runs.event_log import EventLogReader, EventLogWriter
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.heartbeat import PATIENCE_SECONDS, Silence
from medqlora.runs.process import end_processes, record_process, recorded_process, start_worker
from medqlora.runs.run_directory import RunDirectory

POLL_SECONDS = 0.2
EXIT_GRACE_SECONDS = 60.0
"""A worker that has written its end and is still there after this is terminated."""
STOP_GRACE_SECONDS = 120.0
"""A step and a checkpoint fit into this; a worker that needs longer is terminated."""
HUNG_GRACE_SECONDS = 30.0
"""A hung worker that does not stop when asked within this is terminated."""


class RunSupervisor:
    """Watches one attempt at a run until its worker is gone.

    Args:
        directory: The run.
        stop_grace_seconds: How long it may take to stop when asked, before it is terminated.
        patience_seconds: How long it may give no sign of life before it counts as hung.
    """

    def __init__(
        self,
        directory: RunDirectory,
        *,
        stop_grace_seconds: float = STOP_GRACE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.directory = directory
        self._stop_grace_seconds = stop_grace_seconds
        self._patience_seconds = patience_seconds
        self._reader = EventLogReader(directory.events)
        self._snapshot = RunSnapshot(run_id=directory.run_id)
        self._unfolded: list[Event] = []
        self._ending: Ending | None = None

    @property
    def snapshot(self) -> RunSnapshot:
        """The run as of the last poll."""
        return self._snapshot

    def start(self, lease: GpuLease | None) -> None:
        """Opens an attempt and starts a worker that inherits `lease`, if its work needs one.

        Raises:
            DiskFullError: No space is left.
            SessionError: The system starts no more processes.
        """
        try:
            self.directory.stop_file.unlink(missing_ok=True)
            self.directory.heartbeat.unlink(missing_ok=True)
            open_attempt(self.directory)
            worker = self._start_worker(lease)
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
        if self._ending is None:
            self._ending = Ending(self._stop_grace_seconds)

    @property
    def is_watching(self) -> bool:
        """Whether the attempt is going on."""
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        """Waits until the attempt is over."""
        self._thread.join(timeout)

    def _start_worker(self, lease: GpuLease | None) -> psutil.Popen:
        try:
            with self.directory.worker_log.open("a", encoding="utf-8") as log:
                worker = start_worker(
                    "medqlora.runs.worker",
                    [str(self.directory.path), "--patience", str(self._patience_seconds)],
                    stdout=log,
                    stderr=log,
                    keep_open=[lease.descriptor] if lease else [],
                    job=self.directory.path,
                )
        except OSError as error:
            close_attempt(self.directory, died(None, self.directory.spec().kind))
            raise SessionError(
                f"The system could not start the job's process: {error.strerror}.",
                hint="Close other programs, then press Resume.",
            ) from error
        try:
            record_process(self.directory.worker_file, worker)
        except BaseException:
            worker.kill()  # nobody would know of it
            worker.wait()
            raise
        return worker

    def _watch_from_now(self, worker: psutil.Process) -> None:
        self._catch_up()
        self._thread = threading.Thread(
            target=self._watch, args=(worker,), name=f"run-{self.directory.run_id}", daemon=True
        )
        self._thread.start()

    def _watch(self, worker: psutil.Process) -> None:
        silence = Silence(self.directory.heartbeat)
        while True:
            exit_code, is_over = _wait(worker)
            if is_over:
                break
            self._catch_up(is_worker_alive=True)
            self._look_for_a_reason_to_end(silence)
            if self._ending is not None:
                self._ending.press(worker)
        end_processes(self.directory.path)
        self._catch_up()
        if self._snapshot.outcome is None:
            self._close(self._death(exit_code))

    def _catch_up(self, *, is_worker_alive: bool = False) -> None:
        try:
            self._unfolded += self._reader.read_new()
        except OSError:
            return  # a folder that is away for a while; what was written is read when it is back
        while self._unfolded:
            # An attempt is over when its worker is gone and the machine is free, not before.
            if is_worker_alive and isinstance(self._unfolded[0], Outcome):
                return
            self._snapshot = apply(self._snapshot, self._unfolded.pop(0))

    def _look_for_a_reason_to_end(self, silence: Silence) -> None:
        is_silent = silence.seconds() > self._patience_seconds
        if self._ending is not None:
            return
        # Not Path.exists, which raises where a mounted folder is away for a while.
        if os.path.exists(self.directory.stop_file):  # another process asked, or an earlier server
            self._ending = Ending(self._stop_grace_seconds)
        elif self._unfolded:  # its end is written
            self._ending = Ending(EXIT_GRACE_SECONDS)
        elif is_silent:
            self._ending = HungEnding(HUNG_GRACE_SECONDS, patience_seconds=self._patience_seconds)
            with suppress(OSError):  # then it is ended without being asked
                self.directory.stop_file.touch()

    def _death(self, exit_code: int | None) -> Outcome:
        if self._ending is not None:
            return self._ending.outcome(self._snapshot)
        return died(exit_code, self.directory.spec().kind)

    def _close(self, outcome: Outcome) -> None:
        try:
            close_attempt(self.directory, outcome)
            self._catch_up()
        except PersistenceError:
            # Nothing can be written there now. Viewers are told; the next attempt, or the next
            # server, writes it.
            told = replace(outcome, seq=self._snapshot.seq + 1, at=datetime.now(UTC))
            self._snapshot = apply(self._snapshot, told)


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
        earlier = directory.snapshot()
        if earlier.attempt and earlier.outcome is None:  # its end could not be written then
            log.append(died(None, spec.kind))
        for event in events:
            log.append(event)


def close_attempt(directory: RunDirectory, outcome: Outcome) -> None:
    """Writes the end of an attempt whose worker is gone, unless another watcher has."""
    with EventLogWriter(directory.events, run_id=directory.run_id) as log:
        if directory.snapshot().outcome is None:
            log.append(outcome)


def settle(directory: RunDirectory) -> psutil.Process | None:
    """The live worker of a run; where a run has neither worker nor end, the end is written.

    Called for every run when a server starts: it finds workers to watch and runs that were
    interrupted.
    """
    worker = recorded_process(directory.worker_file)
    snapshot = directory.snapshot()
    if snapshot.attempt and snapshot.outcome is None:
        directory.queued.unlink(missing_ok=True)  # its turn had come
    if worker is None and snapshot.outcome is None and not directory.queued.exists():
        end_processes(directory.path)  # one of them may hold the log
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


def _wait(worker: psutil.Process) -> tuple[int | None, bool]:
    """Exit code and whether the worker is gone; the code is known of our own children only."""
    try:
        return worker.wait(timeout=POLL_SECONDS), True
    except psutil.TimeoutExpired:
        return None, False

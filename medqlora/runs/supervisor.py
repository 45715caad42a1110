"""RunSupervisor: one named thread that owns one worker process at a time.

It opens the attempt, starts the worker (or finds one that outlived the server), folds its log, ends
it firmly when a polite stop is not enough or nothing happens any more, kills what the worker left
running, and writes the end of an attempt whose worker died. An attempt that ran out of memory is
followed by another at once, with the settings that `runs.retrying` says. It decides nothing about
training.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from medqlora.domain.events import Event, Outcome, RunFailed, RunStarted
from medqlora.domain.jobs import JobSpec
from medqlora.domain.snapshot import RunSnapshot, apply
from medqlora.errors import (
    MedQLoRAError,
    PersistenceError,
    SessionError,
    StorageUnavailableError,
)
from medqlora.persistence.atomic import translated_os_errors
from medqlora.runs.attempts import close_attempt, died, open_attempt
from medqlora.runs.endings import Ending, HungEnding
from medqlora.runs.event_log import EventLogReader
from medqlora.runs.found_batches import found_batches
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.heartbeat import PATIENCE_SECONDS, Silence
from medqlora.runs.process import end_processes, record_process, start_worker
from medqlora.runs.ram_watch import RamWatch
from medqlora.runs.retrying import action_before_next, killed_for_memory
from medqlora.runs.run_directory import RunDirectory

POLL_SECONDS = 0.2
EXIT_GRACE_SECONDS = 60.0
"""A worker that has written its end and is still there after this is terminated."""
STOP_GRACE_SECONDS = 120.0
"""A step and a checkpoint fit into this; a worker that needs longer is terminated."""
HUNG_GRACE_SECONDS = 30.0
"""A hung worker that does not stop when asked within this is terminated."""


class RunSupervisor:
    """Watches an attempt at a run until its worker is gone, and those that follow it by themselves.

    Args:
        directory: The run.
        stop_grace_seconds: How long it may take to stop when asked, before it is terminated.
        patience_seconds: How long it may give no sign of life before it counts as hung.
        machine_lock: The lock file of the machine, for the attempt that follows one of a worker
            that outlived its server.
    """

    def __init__(
        self,
        directory: RunDirectory,
        *,
        stop_grace_seconds: float = STOP_GRACE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        machine_lock: Path | None = None,
    ) -> None:
        self.directory = directory
        self._machine_lock = machine_lock
        self._lease: GpuLease | None = None
        self._ram = RamWatch()
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
            StorageUnavailableError: The run's folder cannot be written.
        """
        self._lease = lease
        try:
            with translated_os_errors(self.directory.path):
                self.directory.stop_file.unlink(missing_ok=True)
            worker = self._launch()
        except BaseException:
            self._give_machine_back()
            raise
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

    def _launch(self) -> psutil.Process:
        self.directory.heartbeat.unlink(missing_ok=True)
        open_attempt(self.directory)
        self._ram = RamWatch()
        worker = self._start_worker()
        try:
            record_process(self.directory.worker_file, worker)
        except BaseException:
            worker.kill()  # nobody would know of it
            worker.wait()
            with suppress(PersistenceError):  # as full as the disk is, its log may take a line
                close_attempt(self.directory, died(None, self.directory.spec().kind))
            raise
        return worker

    def _start_worker(self) -> psutil.Popen:
        try:
            with self.directory.worker_log.open("a", encoding="utf-8") as log:
                return start_worker(
                    _module(self.directory.spec()),
                    [str(self.directory.path), "--patience", str(self._patience_seconds)],
                    stdout=log,
                    stderr=log,
                    keep_open=[self._lease.descriptor] if self._lease else [],
                    job=self.directory.path,
                )
        except OSError as error:
            close_attempt(self.directory, died(None, self.directory.spec().kind))
            raise SessionError(
                f"The system could not start the job's process: {error.strerror}.",
                hint="Close other programs, then press Resume.",
            ) from error

    def _give_machine_back(self) -> None:
        # Kept while an attempt may follow, so that no other job comes between.
        if self._lease:
            self._lease.close()
            self._lease = None

    def _watch_from_now(self, worker: psutil.Process) -> None:
        self._catch_up()
        self._thread = threading.Thread(
            target=self._watch, args=(worker,), name=f"run-{self.directory.run_id}", daemon=True
        )
        self._thread.start()

    def _watch(self, first: psutil.Process) -> None:
        worker: psutil.Process | None = first
        try:
            while worker:
                exit_code = self._watch_attempt(worker)
                end_processes(self.directory.path)
                self._catch_up(is_going_on=True)
                end = None if self._unfolded else self._write_end(self._death(exit_code))
                worker = self._next_worker()
        finally:
            self._give_machine_back()
        self._catch_up()
        if end and self._snapshot.outcome is None:
            # The log could not be written. Whoever watches sees the end all the same; the next
            # server writes it.
            self._snapshot = apply(self._snapshot, end)

    def _watch_attempt(self, worker: psutil.Process) -> int | None:
        silence = Silence(self.directory.heartbeat)
        leaving: Ending | None = None
        while True:
            exit_code, is_over = _wait(worker)
            if is_over:
                return exit_code
            self._ram.look()
            self._catch_up(is_going_on=True)
            self._look_for_a_reason_to_end(silence)
            if self._unfolded:  # its end is written; another attempt may follow it
                leaving = leaving or Ending(EXIT_GRACE_SECONDS)
            ending = self._ending or leaving
            if ending:
                ending.press(worker)

    def _look_for_a_reason_to_end(self, silence: Silence) -> None:
        is_silent = silence.seconds() > self._patience_seconds
        if self._ending is not None:
            return
        # Not Path.exists, which raises where a mounted folder is away for a while.
        if os.path.exists(self.directory.stop_file):  # another process asked, or an earlier server
            self._ending = Ending(self._stop_grace_seconds)
        elif is_silent and not self._unfolded:
            self._ending = HungEnding(HUNG_GRACE_SECONDS, patience_seconds=self._patience_seconds)
            with suppress(OSError):  # then it is ended without being asked
                self.directory.stop_file.touch()

    def _catch_up(self, *, is_going_on: bool = False) -> None:
        try:
            self._unfolded += self._reader.read_new()
        except PersistenceError:
            # A folder that is away for a while: what was written is read when it is back. Or a
            # damaged line: the worker goes on, and is watched to its end all the same.
            return
        snapshot = self._snapshot
        while self._unfolded:
            # An attempt is over when its worker is gone, the machine is free and no other attempt
            # follows, not before.
            if is_going_on and _is_last_end(self._unfolded):
                break
            snapshot = apply(snapshot, self._unfolded.pop(0))
        self._snapshot = snapshot

    def _write_end(self, outcome: Outcome) -> Outcome:
        with suppress(PersistenceError, OSError):  # see _watch: then it is told without the log
            close_attempt(self.directory, outcome)
        return replace(outcome, seq=self._snapshot.seq + 1, at=datetime.now(UTC))

    def _next_worker(self) -> psutil.Process | None:
        """The worker of the attempt that follows by itself, or None when none does."""
        if self._ending is not None or os.path.exists(self.directory.stop_file):
            return None
        try:
            if action_before_next(self.directory) is None:
                return None
            if self._lease is None and self._machine_lock:
                self._lease = GpuLease.acquire(self._machine_lock, holder=self.directory.run_id)
            return self._launch()
        except (MedQLoRAError, OSError):
            return None  # the end that was written stands, and Resume tries again

    def _death(self, exit_code: int | None) -> Outcome:
        if self._ending is not None:
            return self._ending.outcome(self._snapshot)
        try:
            kind = self.directory.spec().kind
            was_killed = exit_code in (-signal.SIGKILL, None)  # None: not our child, so not known
            if kind == "train" and was_killed and self._ram.was_short():
                found_batches(self.directory.spec()).forget()
                return killed_for_memory(self.directory)
            return died(exit_code, kind)
        except (PersistenceError, OSError):
            return _out_of_reach()


def _out_of_reach() -> RunFailed:
    return RunFailed(
        code=StorageUnavailableError.code,
        message="The job's process has ended, and its folder cannot be read.",
        hint="See that its disk is connected, then press Resume; if the folder is gone, start "
        "again.",
    )


def _is_last_end(events: Sequence[Event]) -> bool:
    """Whether the first of `events` ends an attempt and no other begins after it."""
    is_followed = any(isinstance(event, RunStarted) for event in events)
    return isinstance(events[0], Outcome) and not is_followed


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

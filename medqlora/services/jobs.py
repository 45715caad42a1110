"""JobService: what training, evaluating and importing share. At most one job holds the machine.

It starts, stops, watches and lists the jobs of one folder. What a job does is its kind's own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, TypeVar

from medqlora.domain.events import RunFailed
from medqlora.domain.jobs import JobSpec
from medqlora.domain.snapshot import RunSnapshot
from medqlora.errors import ERRORS_BY_CODE, GpuBusyError, MedQLoRAError, PersistenceError
from medqlora.persistence.atomic import translated_os_errors
from medqlora.persistence.whole_folders import remove_whole, sweep
from medqlora.persistence.workspace import Workspace, child
from medqlora.runs.attempts import nothing_to_resume, settle
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.heartbeat import PATIENCE_SECONDS
from medqlora.runs.process import end_processes, jobs_with_processes
from medqlora.runs.run_directory import RunDirectory
from medqlora.runs.supervisor import STOP_GRACE_SECONDS, RunSupervisor

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


def _nothing_to_do() -> None:
    """Nobody else of this process cares."""


class JobService:
    """The jobs of one folder of the workspace.

    Args:
        workspace: The workspace.
        folder: Where the jobs' directories lie.

    Attributes:
        make_room: Called before the machine is taken: gives back what an idle chat holds.
        on_launch: Called once a worker was started.
        unreadable: Ids of the jobs whose record was damaged when they were last listed.
    """

    needs_machine: ClassVar[bool] = True
    """Whether a job needs the lease of the machine; work that needs no model does not."""

    stop_grace_seconds: ClassVar[float] = STOP_GRACE_SECONDS
    """How long a job that was asked to stop may take before it is terminated."""

    patience_seconds: ClassVar[float] = PATIENCE_SECONDS
    """How long a job may give no sign of life before it counts as hung."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self._workspace = workspace
        self._folder = folder
        self.make_room: Callable[[], None] = _nothing_to_do
        self.on_launch: Callable[[], None] = _nothing_to_do
        self.unreadable: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._watched: dict[str, RunSupervisor] = {}
        self._settled: dict[str, tuple[int, RunSnapshot]] = {}

    def attach(self) -> None:
        """Finds jobs that outlived an earlier server and writes the end of those that did not.

        What a killed process was making or deleting is deleted for good.
        """
        sweep(self._folder)
        for directory in self.directories():
            if directory.run_id in self._watched:
                continue
            try:
                worker = settle(directory)
            except PersistenceError as error:
                _log.warning("%s was left alone: %s", directory.run_id, error.code)
                continue
            if worker is not None:
                supervisor = self._supervisor(directory)
                supervisor.attach(worker)
                self._watched[directory.run_id] = supervisor
        for job in jobs_with_processes(self._folder):
            if job.name not in self._watched:
                end_processes(job)

    def directories(self) -> tuple[RunDirectory, ...]:
        """All jobs, newest first; their ids begin with the time."""
        paths = sorted(self._folder.glob("*/run.json"), reverse=True)
        return tuple(RunDirectory(path.parent) for path in paths)

    def readable(self, describe: Callable[[RunDirectory], _T | None]) -> tuple[_T, ...]:
        """What `describe` says of each job, newest first; it passes over one by saying None.

        Jobs whose record is damaged are `unreadable` from then on.
        """
        described, unreadable = [], []
        for directory in self.directories():
            try:
                described.append(describe(directory))
            except PersistenceError:
                unreadable.append(directory.run_id)
        self.unreadable = tuple(unreadable)
        return tuple(one for one in described if one is not None)

    def directory(self, run_id: str) -> RunDirectory:
        """One job's directory.

        Raises:
            StorageUnavailableError: There is none with that id.
        """
        return RunDirectory(child(self._folder, run_id))

    def current(self) -> str | None:
        """The job that is running, or None."""
        return next((run_id for run_id, one in self._supervisors() if one.snapshot.is_live), None)

    @property
    def is_watching(self) -> bool:
        """Whether a job of this folder is at work, or between two attempts."""
        return any(one.is_watching for _, one in self._supervisors())

    def spec(self, run_id: str) -> JobSpec:
        """What was asked of a job."""
        return self.directory(run_id).spec()

    def snapshot(self, run_id: str) -> RunSnapshot:
        """What a viewer sees of a job now."""
        watched = self._watched.get(run_id)
        if watched and (watched.is_watching or watched.snapshot.is_live):
            return watched.snapshot
        try:
            found = self._read_snapshot(self.directory(run_id))
        except PersistenceError:
            if watched is None:
                raise
            return watched.snapshot  # a folder that is away for a while
        # An end that could not be written is known to its watcher alone; what another process, such
        # as the command line, did with the job since is in the log alone.
        return watched.snapshot if watched and watched.snapshot.seq > found.seq else found

    def _supervisors(self) -> tuple[tuple[str, RunSupervisor], ...]:
        """Those of this moment: another thread may start a job while they are looked at."""
        return tuple(self._watched.items())

    def _read_snapshot(self, directory: RunDirectory) -> RunSnapshot:
        run_id = directory.run_id
        with translated_os_errors(directory.path):
            size = directory.events.stat().st_size if directory.events.exists() else 0
        known = self._settled.get(run_id)
        if (
            known is None or known[0] != size
        ):  # new here, or written by another process such as the command line
            known = self._settled[run_id] = (size, directory.snapshot())
        return known[1]

    def stop(self, run_id: str) -> None:
        """Asks a job to stop; one that is over is left alone."""
        watched = self._watched.get(run_id)
        if watched:
            watched.request_stop()
        elif self.snapshot(run_id).is_live:
            self.directory(run_id).stop_file.touch()

    def resume(self, run_id: str) -> None:
        """Goes on with a job that ended before it was done.

        Raises:
            PersistenceError: It is done, or running.
            GpuBusyError: Another job has the machine.
        """
        directory = self.directory(run_id)
        with self._lock:
            if not self.snapshot(run_id).can_resume:
                raise nothing_to_resume()
            self._launch(directory, self._take_machine(run_id))

    def delete(self, run_id: str) -> None:
        """Removes a job with everything it made.

        Raises:
            GpuBusyError: It is running.
        """
        directory = self.directory(run_id)
        if directory.queued.exists():
            raise GpuBusyError(
                "This run waits for its turn.", hint="Remove it from the queue.", holder=run_id
            )
        if self.snapshot(run_id).is_live:
            raise GpuBusyError("This run is still running.", hint="Stop it first.", holder=run_id)
        self._watched.pop(run_id, None)
        self._settled.pop(run_id, None)
        remove_whole(directory.path)

    def discard(self, run_id: str) -> None:
        """Removes a job with everything it made; one that is at work is stopped instead."""
        try:
            self.delete(run_id)
        except GpuBusyError:
            self.stop(run_id)

    def end_all(self, seconds: float) -> None:
        """Asks every job that is at work to stop, and waits until all have, or for `seconds`."""
        deadline = time.monotonic() + seconds
        for run_id, one in self._supervisors():
            if one.is_watching:
                self.stop(run_id)
        while self.is_watching and time.monotonic() < deadline:
            time.sleep(0.1)

    def forget_all(self) -> None:
        """Drops what is remembered of jobs whose directories are gone."""
        with self._lock:
            self._watched.clear()
            self._settled.clear()
            self.unreadable = ()

    def _begin(self, run_id: str, create: Callable[[], RunDirectory]) -> str:
        """Takes the machine, makes the directory, starts the worker.

        In this order, so that a refusal leaves no trace.
        """
        with self._lock:
            lease = self._take_machine(run_id)
            try:
                directory = create()
            except BaseException:
                if lease:
                    lease.close()
                raise
            try:
                self._launch(directory, lease)
            except BaseException:
                with suppress(MedQLoRAError):
                    if directory.snapshot().outcome is None:  # else its log says why
                        remove_whole(directory.path)
                raise
        return run_id

    def _take_machine(self, run_id: str) -> GpuLease | None:
        if not self.needs_machine:
            return None
        self.make_room()
        return GpuLease.acquire(self._workspace.machine_lock, holder=run_id)

    def _launch(self, directory: RunDirectory, lease: GpuLease | None) -> None:
        self._let_go()
        supervisor = self._supervisor(directory)
        supervisor.start(lease)
        self._watched[directory.run_id] = supervisor
        self.on_launch()

    def _let_go(self) -> None:
        """Forgets who watched jobs that are over, once their logs tell all that was seen."""
        for run_id, one in self._supervisors():
            if not one.is_watching:
                with suppress(PersistenceError):  # then its watcher alone knows how it ended
                    if self._read_snapshot(one.directory).seq >= one.snapshot.seq:
                        self._watched.pop(run_id, None)

    def _supervisor(self, directory: RunDirectory) -> RunSupervisor:
        return RunSupervisor(
            directory,
            stop_grace_seconds=self.stop_grace_seconds,
            patience_seconds=self.patience_seconds,
            machine_lock=self._workspace.machine_lock if self.needs_machine else None,
        )


def failure_of(snapshot: RunSnapshot) -> MedQLoRAError:
    """Why a job that is over did not succeed, as the error that it reported."""
    outcome = snapshot.outcome
    if isinstance(outcome, RunFailed):
        error = ERRORS_BY_CODE.get(outcome.code, MedQLoRAError)
        return error(outcome.message, hint=outcome.hint)
    return PersistenceError("It was stopped before it was done.", hint="Start it again.")

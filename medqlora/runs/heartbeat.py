"""The heartbeat of a worker: a file that is touched while the job is at work.

At work is a job that tells something, or whose processes compute, read or write. So the download of
a model and a first compilation beat without saying a word. A job that waits for what never comes
does not beat, and neither does a process that is frozen as a whole. Once steps go on, being busy is
not enough: a GPU that answers no more keeps a core busy for ever.

The worker beats (`Heartbeat`), the supervisor listens (`Silence`) and decides what to do about it.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from medqlora.domain.events import Event, MemorySampled, RunWarned, StepLogged
from medqlora.errors import PersistenceError

PATIENCE_SECONDS = 600.0
"""A worker that does not beat for so long counts as hung."""

BUSY_CORE_SHARE = 0.05
"""Share of one core from which on the job's processes compute; looking at them takes less."""

BUSY_BYTES_PER_SECOND = 64 * 1024
"""Files read and written from which on a job reads or writes; its own log is far below."""

BUSY_PATIENCE_SECONDS = 3 * 3600.0
"""How long a job may be busy without a word before its first step."""

STEP_PATIENCE_FACTOR = 20
"""So many times the longest time between two words may pass without one once steps go on."""

_MOST_SECONDS_BETWEEN_LOOKS = 5.0
_LOOKS_IN_PATIENCE = 10
_PAGE_BYTES = resource.getpagesize()
_BLOCK_BYTES = 512


Report = Callable[[Event], Event]
"""Writes an event and returns it as it was written."""


class Heartbeat:
    """Touches a file while the job is at work, from a thread between entering and leaving it.

    Args:
        path: The file.
        report: Where events go.
        patience_seconds: After half of it without a beat, the user is told.
    """

    def __init__(
        self, path: Path, report: Report, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._path = path
        self._report = report
        self._patience = patience_seconds
        self._told_at = time.monotonic()
        self._longest_between_words = 0.0
        self._steps_go_on = False
        self._has_warned = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join(timeout=5)

    def report(self, event: Event) -> Event:
        """Passes an event of the job on; it is a sign of life."""
        if not isinstance(event, MemorySampled):  # memory is sampled whatever the job does
            now = time.monotonic()
            if self._steps_go_on:
                self._longest_between_words = max(self._longest_between_words, now - self._told_at)
            self._steps_go_on = self._steps_go_on or isinstance(event, StepLogged)
            self._told_at = now
        return self._report(event)

    def _run(self) -> None:
        seconds = min(self._patience / _LOOKS_IN_PATIENCE, _MOST_SECONDS_BETWEEN_LOOKS)
        beat_at = looked_at = time.monotonic()
        done = _work_done()
        while not self._is_over.wait(seconds):
            now, newly_done = time.monotonic(), _work_done()
            is_busy = newly_done.is_busy_since(done, seconds=now - looked_at)
            if self._told_at > looked_at or (is_busy and self._may_be_busy(now)):
                self._beat()
                beat_at = now
            elif now - beat_at > self._patience / 2:
                self._warn()
            done, looked_at = newly_done, now

    def _may_be_busy(self, now: float) -> bool:
        if not self._steps_go_on:
            return now - self._told_at < BUSY_PATIENCE_SECONDS
        longest = STEP_PATIENCE_FACTOR * self._longest_between_words
        return now - self._told_at < max(longest, self._patience)

    def _beat(self) -> None:
        try:
            self._path.touch()
        except OSError:
            return  # a folder that is gone for a while; the supervisor cannot see the file either

    def _warn(self) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        warning = RunWarned(
            message=f"Nothing has happened for {minutes(self._patience / 2)}.",
            hint=f"If it stays so, the job is ended after {minutes(self._patience)}; it can "
            "then be started again and goes on from its last checkpoint.",
        )
        with suppress(PersistenceError):  # a full disk must not end the beating
            self._report(warning)


class Silence:
    """How long a heartbeat was not heard, by the listener's own clock.

    Time in which the listener itself did not run does not count: a machine that was paused has not
    hung.

    Args:
        path: The file that the worker touches.
    """

    _MOST_SECONDS_A_LOOK = 2.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0
        self._looked_at = time.monotonic()
        self._seconds = 0.0

    def seconds(self) -> float:
        """Seconds since the last beat that was heard; called again and again."""
        now = time.monotonic()
        self._seconds += min(now - self._looked_at, self._MOST_SECONDS_A_LOOK)
        self._looked_at = now
        try:
            beat = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return self._seconds  # the worker has not come so far yet
        except OSError:
            beat = 0  # a folder that cannot be read says nothing about the worker
        if beat != self._seen:
            self._seen, self._seconds = beat, 0.0
        return self._seconds


@dataclass(frozen=True, slots=True)
class _Work:
    """What the job's processes have done so far."""

    core_seconds: float
    num_bytes: float

    def is_busy_since(self, earlier: _Work, *, seconds: float) -> bool:
        return (
            self.core_seconds - earlier.core_seconds >= BUSY_CORE_SHARE * seconds
            or self.num_bytes - earlier.num_bytes >= BUSY_BYTES_PER_SECOND * seconds
        )


def _work_done() -> _Work:
    this = psutil.Process()
    gone = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Looking at all processes is work too, and not the job's.
    core_seconds = time.process_time() - time.thread_time() + gone.ru_utime + gone.ru_stime
    for child in this.children(recursive=True):
        try:
            core_seconds += sum(child.cpu_times()[:4])
        except psutil.Error:
            continue  # gone between the two lines; what it did is its parent's now
    # Pages of a mapped file count among the faults where the file system does not count blocks.
    usage = resource.getrusage(resource.RUSAGE_SELF)
    read = usage.ru_majflt * _PAGE_BYTES + usage.ru_inblock * _BLOCK_BYTES
    try:
        written = this.io_counters().write_chars
    except (psutil.Error, OSError):
        written = 0  # some containers hide it
    return _Work(core_seconds, written + read)


def minutes(seconds: float) -> str:
    """A patience in words."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"

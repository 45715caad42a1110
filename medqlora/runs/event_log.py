"""The event log of a run: appended by one process at a time, read by anybody.

The worker owns the log while it lives, by a lock on the file; the supervisor opens each attempt and
appends the end of one whose worker died. A line that a kill tore in the middle is ignored by
readers and cut off by the next writer. Folding events is `domain.snapshot`'s work.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from medqlora.domain.events import (
    CheckpointSaved,
    Event,
    RunFailed,
    RunStopped,
    RunSucceeded,
    from_json,
    to_json,
)
from medqlora.errors import PersistenceError
from medqlora.persistence.atomic import translated_os_errors

_MUST_SURVIVE = (CheckpointSaved, RunSucceeded, RunStopped, RunFailed)


class EventLogWriter:
    """Appends events; safe to call from several threads of one process.

    Args:
        path: The log file; made when missing. Waits while another process writes it.
        run_id: Stamped on every event.

    Raises:
        StorageUnavailableError: The log cannot be written.
        PersistenceError: Its last line is damaged.
    """

    def __init__(self, path: Path, *, run_id: str) -> None:
        self._run_id = run_id
        self._folder = path.parent
        self._lock = threading.Lock()
        with translated_os_errors(self._folder):
            # Unbuffered: what a full disk refused must not be written later, among other lines.
            self._file = path.open("ab", buffering=0)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                self._last_seq = _cut_torn_line(path)
            except BaseException:
                self._file.close()  # and with it the lock
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, event: Event) -> Event:
        """Writes `event`, stamped, and returns it so.

        Raises:
            DiskFullError: No space is left.
        """
        with self._lock, translated_os_errors(self._folder):
            stamped = replace(
                event, seq=self._last_seq + 1, run_id=self._run_id, at=datetime.now(UTC)
            )
            self._write(json.dumps(to_json(stamped), ensure_ascii=False).encode() + b"\n")
            if isinstance(event, _MUST_SURVIVE):
                os.fsync(self._file.fileno())
            self._last_seq = stamped.seq
        return stamped

    def _write(self, line: bytes) -> None:
        """Writes the whole line or nothing of it."""
        size = os.fstat(self._file.fileno()).st_size
        left = memoryview(line)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            os.ftruncate(self._file.fileno(), size)
            raise


class EventLogReader:
    """Reads a log that may still be growing; each call gives what is new.

    Args:
        path: The log file; one that does not exist yet has no events.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read_new(self) -> list[Event]:
        """Whole events appended since the last call.

        Raises:
            StorageUnavailableError: The log cannot be read now.
            PersistenceError: A line of it is damaged.
        """
        with translated_os_errors(self._path.parent):
            if not self._path.exists():
                return []
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        try:
            events = [from_json(json.loads(line)) for line in whole.splitlines()]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _damaged(self._path) from None  # the cause quotes the line
        self._offset += len(whole)
        return events


def read_events(path: Path) -> list[Event]:
    """All whole events of a log."""
    return EventLogReader(path).read_new()


def _cut_torn_line(path: Path) -> int:
    """Cuts a torn last line off and returns the number of the last whole event."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    lines = whole.splitlines()
    try:
        return int(json.loads(lines[-1])["seq"]) if lines else 0
    except (ValueError, KeyError, TypeError):
        raise _damaged(path) from None


def _damaged(path: Path) -> PersistenceError:
    return PersistenceError(
        f"The record of {path.parent.name} is damaged.",
        hint="Its folder is kept; other runs are not affected.",
    )

"""AuditLog: who did what and when, one JSON line each, without content.

A line names the control that was used, never what was typed, uploaded or answered; file and run
names stay out too. The file is bounded: a full one becomes the older of two.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

MAX_BYTES = 2_000_000
MAX_WAITING = 10_000
FLUSH_SECONDS = 2.0
_log = logging.getLogger("medqlora.ui")


class AuditLog:
    """Lines in a file of the workspace.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: queue.Queue[str] = queue.Queue(MAX_WAITING)
        threading.Thread(target=self._write_all, name="audit-log", daemon=True).start()

    def record(self, who: str, did: str) -> None:
        """Has one line written, and waits for no disk: whoever calls it serves everybody.

        Args:
            who: A role and the number of its session, or `nobody`.
            did: What, in fixed words.
        """
        at = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            self._lines.put_nowait(json.dumps({"at": at, "who": who, "did": did}) + "\n")
        except queue.Full:
            _log.warning("The audit log does not keep up; a line is lost.")

    def flush(self) -> None:
        """Waits until the lines so far are written, but no longer than a moment."""
        deadline = time.monotonic() + FLUSH_SECONDS
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)

    def _write_all(self) -> None:
        while True:
            line = self._lines.get()
            try:
                if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
                    self._path.replace(self._path.with_suffix(".older.jsonl"))
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line)
            except OSError:
                _log.warning("The audit log cannot be written; the page goes on.")
            self._lines.task_done()

    def newest(self, number: int) -> Iterator[dict[str, str]]:
        """The newest lines, the last first; one that is torn is passed over."""
        self.flush()
        if not self._path.exists():
            return
        for line in reversed(self._path.read_text(encoding="utf-8").splitlines()[-number:]):
            try:
                yield json.loads(line)
            except ValueError:
                continue

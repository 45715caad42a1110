"""AuditLog: who did what and when, one JSON line each, without content.

A line names the control that was used, never what was typed, uploaded or answered; file and run
names stay out too. The file is bounded: a full one becomes the older of two.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

MAX_BYTES = 2_000_000
_log = logging.getLogger("medqlora.ui")


class AuditLog:
    """Lines in a file of the workspace.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def record(self, who: str, did: str) -> None:
        """Writes one line.

        Args:
            who: A role and the number of its session, or `nobody`.
            did: What, in fixed words.
        """
        at = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"at": at, "who": who, "did": did}) + "\n"
        try:
            with self._lock:
                if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
                    self._path.replace(self._path.with_suffix(".older.jsonl"))
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line)
        except OSError:
            _log.warning("The audit log cannot be written; the page goes on.")

    def newest(self, number: int) -> Iterator[dict[str, str]]:
        """The newest lines, the last first; one that is torn is passed over."""
        if not self._path.exists():
            return
        for line in reversed(self._path.read_text(encoding="utf-8").splitlines()[-number:]):
            try:
                yield json.loads(line)
            except ValueError:
                continue

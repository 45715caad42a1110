"""Sends couriers to a mirror and waits for them, never longer than something moves."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from typing import IO, Any

import psutil

from medqlora.errors import ERRORS_BY_CODE, PersistenceError, StorageUnavailableError
from medqlora.persistence.storage_address import StorageAddress
from medqlora.persistence.workspace import Workspace
from medqlora.runs.process import start_worker

SILENCE_SECONDS = 300.0
"""A courier from whom nothing is heard for so long is taken for hung, and killed."""
_KILL_SECONDS = 5.0


class Courier:
    """Whoever runs the errands of one workspace, one at a time.

    Args:
        workspace: The workspace.
        silence_seconds: How long nothing may be heard of an errand.
    """

    def __init__(self, workspace: Workspace, *, silence_seconds: float = SILENCE_SECONDS) -> None:
        self._workspace = workspace
        self._silence_seconds = silence_seconds
        self._stuck: psutil.Popen | None = None

    def send(self, errand: str, address: StorageAddress, *arguments: str) -> dict[str, Any]:
        """Does one errand of `mirror_courier` and returns what it brought.

        Raises:
            StorageUnavailableError: The storage cannot be reached, or hangs.
            PersistenceError: What is there is damaged or missing.
            DiskFullError: No space is left.
        """
        if self._stuck is not None and self._stuck.poll() is None:
            raise _hangs()  # even a kill did not free it; another would only hang beside it
        process = start_worker(
            "medqlora.runs.mirror_courier",
            [errand, str(self._workspace.root), address.backend, address.location, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            return self._listen(process)
        finally:
            self._let_go(process)

    def _listen(self, process: psutil.Popen) -> dict[str, Any]:
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(
            target=_read, args=(process.stdout, lines), name="courier", daemon=True
        ).start()
        while True:
            try:
                line = lines.get(timeout=self._silence_seconds)
            except queue.Empty:
                raise _hangs() from None
            if not line:
                raise StorageUnavailableError(
                    "Copying was interrupted.", hint="It is tried again by itself."
                )
            message: dict[str, Any] = json.loads(line)
            if message["kind"] == "done":
                return message
            if message["kind"] == "failed":
                error = ERRORS_BY_CODE.get(message["code"], PersistenceError)
                raise error(message["message"], hint=message["hint"])

    def _let_go(self, process: psutil.Popen) -> None:
        process.kill()
        try:
            process.wait(timeout=_KILL_SECONDS)
        except psutil.TimeoutExpired:
            self._stuck = process
        process.stdin.close()


def _read(stdout: IO[str], lines: queue.Queue[str]) -> None:
    with stdout:
        for line in stdout:
            lines.put(line)
    lines.put("")


def _hangs() -> StorageUnavailableError:
    return StorageUnavailableError(
        "The storage hangs: it neither takes nor gives anything.",
        hint="It is tried again by itself; a drive may have to be mounted anew.",
    )

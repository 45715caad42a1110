"""What the jobs that go through rows share: how far they are, stopping, and a place for halves."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from medqlora.persistence.atomic import translated_os_errors
from medqlora.runs.job import Job

REPORT_SECONDS = 0.5
_CHECK_SECONDS = 0.05


class Stopped(Exception):
    """The user asked to stop.

    Args:
        num_rows: Rows that were done.
    """

    def __init__(self, num_rows: int) -> None:
        super().__init__(num_rows)
        self.num_rows = num_rows


class RowProgress:
    """Says how far a job is, at most twice a second, and stops it when the user asked to.

    Args:
        job: The job.
        total: Rows in all, where known; else the share is that of the file which is being read.
    """

    def __init__(self, job: Job, *, total: int = 0) -> None:
        self._job = job
        self._total = total
        self._phase = ""
        self._said_at = self._checked_at = 0.0

    def say(self, phase: str, rows: int) -> None:
        """Tells that `rows` are done.

        Raises:
            Stopped: The user asked to stop.
        """
        now = time.monotonic()
        if now - self._checked_at >= _CHECK_SECONDS:
            self._checked_at = now
            if self._job.should_stop():
                raise Stopped(rows)
        if phase != self._phase or now - self._said_at >= REPORT_SECONDS:
            self._phase, self._said_at = phase, now
            share = min(rows / self._total, 1.0) if self._total else share_read()
            self._job.report_phase(f"{phase}: {rows:,} rows" if rows else phase, share)


def share_read() -> float | None:
    """How much of the file that is being read was read, 0 to 1; None when none is open.

    Readers differ in how they read, but all of them have the file open.
    """
    opened = [one for one in psutil.Process().open_files() if one.mode == "r"]
    sizes = {one.path: os.stat(one.path).st_size for one in opened if os.path.exists(one.path)}
    shares = [one.position / sizes[one.path] for one in opened if sizes.get(one.path)]
    return min(max(shares), 1.0) if shares else None


@contextmanager
def partial_folder(job: Job) -> Iterator[Path]:
    """An empty folder for what is being made, gone afterwards unless it was renamed.

    Temporary files of the readers lie beside it, so that whatever a kill leaves behind is known by
    its place.
    """
    partial = job.directory.partial
    with translated_os_errors(job.directory.path):
        shutil.rmtree(partial, ignore_errors=True)
        for folder in (partial / "result", partial / "tmp"):
            folder.mkdir(parents=True)
        tempfile.tempdir = str(partial / "tmp")
        try:
            yield partial / "result"
        finally:
            shutil.rmtree(partial, ignore_errors=True)

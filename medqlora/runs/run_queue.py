"""RunQueue: runs that wait for the machine, first come, first served.

A run waits as long as there is a file `queued` in its directory, which holds since when. So the
queue outlives the server, the command line can add to it, and a run is never in it twice. Starting
what waits is the training service's work.
"""

from __future__ import annotations

import time
from pathlib import Path

from medqlora.persistence.atomic import write_text
from medqlora.runs.run_directory import RunDirectory


class RunQueue:
    """The queue of one folder of runs.

    Args:
        folder: Where the runs' directories lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, directory: RunDirectory) -> None:
        """Puts a run at the end.

        Raises:
            DiskFullError: No space is left.
        """
        write_text(directory.queued, f"{time.time_ns()}\n")

    def remove(self, directory: RunDirectory) -> None:
        """Takes a run out; one that is not in it is left alone."""
        directory.queued.unlink(missing_ok=True)

    def directories(self) -> tuple[RunDirectory, ...]:
        """The runs that wait, the next one first."""
        waiting = [RunDirectory(mark.parent) for mark in self._folder.glob("*/queued")]
        return tuple(sorted(waiting, key=lambda one: (_since(one), one.run_id)))


def _since(directory: RunDirectory) -> int:
    try:
        return int(directory.queued.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0  # taken out in this moment, or damaged; then it is next

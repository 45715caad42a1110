"""RunQueue: runs that wait for the machine, first come, first served.

A run waits as long as there is a file `queued` in its directory. So the queue outlives the server,
the command line can add to it, and a run is never in it twice. The file says how many attempts the
run had by then: one more, and its turn has come, even if a kill kept the file from being removed.
Starting what waits is the training service's work.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from medqlora.persistence.atomic import write_text
from medqlora.runs.run_directory import RunDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMark:
    """What is known of a run that waits.

    Attributes:
        since: When it was added, nanoseconds since 1970.
        attempt: Attempts it had by then, 0 for a new run.
        accepts_differences: Whether it goes on although its checkpoint was made with other package
            versions, settings or data.
    """

    since: int
    attempt: int = 0
    accepts_differences: bool = False


class RunQueue:
    """The queue of one folder of runs.

    Args:
        folder: Where the runs' directories lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(
        self, directory: RunDirectory, *, attempt: int = 0, accepts_differences: bool = False
    ) -> None:
        """Puts a run at the end; see `QueueMark`. One that is in it keeps its place.

        Raises:
            DiskFullError: No space is left.
        """
        if directory.queued.exists():
            return
        # After everybody who waits, also where the clock was set back meanwhile.
        latest = max((_since(one) for one in self.directories()), default=0)
        mark = QueueMark(
            since=max(time.time_ns(), latest + 1),
            attempt=attempt,
            accepts_differences=accepts_differences,
        )
        write_text(directory.queued, json.dumps(asdict(mark)) + "\n")

    def remove(self, directory: RunDirectory) -> None:
        """Takes a run out; one that is not in it is left alone."""
        directory.queued.unlink(missing_ok=True)

    def directories(self) -> tuple[RunDirectory, ...]:
        """The runs that wait, the next one first."""
        waiting = [RunDirectory(mark.parent) for mark in self._folder.glob("*/queued")]
        return tuple(sorted(waiting, key=lambda one: (_since(one), one.run_id)))


def queue_mark(directory: RunDirectory) -> QueueMark | None:
    """What is known of a run that waits, or None for one that does not."""
    try:
        found = json.loads(directory.queued.read_text(encoding="utf-8"))
        # Earlier versions wrote the time alone.
        return QueueMark(**found) if isinstance(found, dict) else QueueMark(since=int(found))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return QueueMark(since=0)  # damaged; then it is next


def _since(directory: RunDirectory) -> int:
    mark = queue_mark(directory)
    return mark.since if mark else 0  # taken out in this moment

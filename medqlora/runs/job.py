"""What a job's code is given by the worker."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from medqlora.domain.artifacts import CheckpointInfo
from medqlora.domain.events import Event, PhaseChanged
from medqlora.domain.jobs import JobSpec
from medqlora.runs.run_directory import RunDirectory


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt at a job.

    Attributes:
        directory: Where everything of it lies.
        spec: What was asked.
        report: Writes an event.
        checkpoint: The checkpoint to go on from, or None.
        should_save: Asked after each step: whether to save beyond the schedule, because the
            machine is about to be taken away.
    """

    directory: RunDirectory
    spec: JobSpec
    report: Callable[[Event], object]
    checkpoint: CheckpointInfo | None = None
    should_save: Callable[[], bool] = _never

    def report_phase(self, phase: str, progress: float | None = None) -> None:
        """Says what is being done, and how far it is."""
        self.report(PhaseChanged(phase=phase, progress=progress))

    def should_stop(self) -> bool:
        """Whether the user asked to stop."""
        # Not Path.exists, which raises where a mounted folder is away for a while.
        return os.path.exists(self.directory.stop_file)

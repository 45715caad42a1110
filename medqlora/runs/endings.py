"""Ending a worker from outside: politely, then firmly. When to do so is the supervisor's to say."""

from __future__ import annotations

import time

import psutil

from medqlora.domain.events import Outcome, RunFailed, RunStopped
from medqlora.domain.snapshot import RunSnapshot
from medqlora.runs.heartbeat import minutes

TERMINATE_GRACE_SECONDS = 10.0
"""A worker that is still there after it was terminated for so long is killed."""


class Ending:
    """A worker is asked to end, from now on.

    Args:
        grace_seconds: How long it may take by itself before it is terminated.
    """

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._begun_at = time.monotonic()

    def press(self, worker: psutil.Process) -> None:
        """Ends a worker that was asked and does not; called again and again."""
        overdue = time.monotonic() - self._begun_at - self._grace_seconds
        if overdue > TERMINATE_GRACE_SECONDS:
            worker.kill()
        elif overdue > 0:
            worker.terminate()

    def outcome(self, snapshot: RunSnapshot) -> Outcome:
        """What is recorded of a worker that did not live to do it."""
        step = snapshot.last_step.step if snapshot.last_step else 0
        return RunStopped(step=step, checkpoint_step=snapshot.checkpoint_step)


class HungEnding(Ending):
    """A worker in which nothing happens any more is asked to end.

    Args:
        grace_seconds: How long it may take by itself before it is terminated.
        patience_seconds: How long nothing had happened.
    """

    def __init__(self, grace_seconds: float, *, patience_seconds: float) -> None:
        super().__init__(grace_seconds)
        self._patience_seconds = patience_seconds

    def outcome(self, snapshot: RunSnapshot) -> Outcome:
        """A failure that says what was seen last, and from where to go on."""
        step = snapshot.last_step
        after = f" after step {step.step}" if step else ""
        return RunFailed(
            code="hung",
            message=(
                f"The job was ended because nothing happened for {minutes(self._patience_seconds)}"
                f"{after} (last seen: {snapshot.phase})."
            ),
            hint=(
                f"Resume goes on from the checkpoint of step {snapshot.checkpoint_step}."
                if snapshot.checkpoint_step
                else "Start it again; if it stops at the same place, restart the machine."
            ),
        )

"""Waiting for something that another process does, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable

from medqlora.domain.snapshot import RunSnapshot
from medqlora.services.jobs import JobService

LONG_SECONDS = 240.0
"""Workers import torch first, on machines that others use too."""


def wait_until(condition: Callable[[], bool], *, seconds: float = LONG_SECONDS) -> None:
    """Returns once `condition` holds; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def wait_for_end(jobs: JobService, run_id: str) -> RunSnapshot:
    """The snapshot of a job once its attempt is over."""
    wait_until(lambda: not jobs.snapshot(run_id).is_live)
    return jobs.snapshot(run_id)


def wait_for_step(jobs: JobService, run_id: str, step: int) -> RunSnapshot:
    """The snapshot of a run once it has done `step`."""

    def is_there() -> bool:
        snapshot = jobs.snapshot(run_id)
        assert snapshot.is_live, snapshot.messages
        return snapshot.last_step is not None and snapshot.last_step.step >= step

    wait_until(is_there)
    return jobs.snapshot(run_id)

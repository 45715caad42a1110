"""A job done while a command waits: how it stands, line by line, and what came of it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from medqlora.domain.events import RunFailed
from medqlora.domain.snapshot import RunSnapshot
from medqlora.persistence.workspace import Workspace
from medqlora.printing import say
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.run_directory import RunDirectory
from medqlora.runs.supervisor import RunSupervisor
from medqlora.services import Services

MIRROR_SECONDS = 60.0
"""How long a command that is done waits until its run is safe; the copying goes on after it."""

Result = tuple[dict[str, Any], int]
"""A command's document and its exit code."""


def run_job(services: Services, directory: RunDirectory) -> Result:
    """Does a job and returns what came of it."""
    mirrored = _mirrored(services, directory)
    if mirrored:
        services.mirror.ensure()
    snapshot = run_in_foreground(services.workspace, directory, on_snapshot=Progress().say)
    outcome = snapshot.outcome
    assert outcome is not None, "a run in the foreground has ended"
    document: dict[str, Any] = {
        "run_id": snapshot.run_id,
        "run_dir": str(directory.path),
        "state": snapshot.state,
        "step": snapshot.last_step.step if snapshot.last_step else 0,
        "peak_memory_gib": snapshot.peak_memory_gib,
        "metrics": {},
    }
    if check := snapshot.memory_check:
        document["memory"] = {**asdict(check), "message": check.message}
        say(check.message)
    if isinstance(outcome, RunFailed):
        failure = {"code": outcome.code, "message": outcome.message, "hint": outcome.hint}
        return {**document, "error": failure}, 1
    document |= {k: v for k, v in asdict(outcome).items() if k in ("metrics", "checkpoint_step")}
    if mirrored and (kept := services.mirror.wait_until_safe(mirrored, MIRROR_SECONDS)):
        say(kept.message)
        document["mirror"] = asdict(kept)
    return document, 0


def run_in_foreground(
    workspace: Workspace, directory: RunDirectory, *, on_snapshot: Callable[[RunSnapshot], None]
) -> RunSnapshot:
    """Does one attempt at a job and returns how it ended; for the command line and notebook cells.

    An interrupt (Ctrl-C) or SIGTERM stops the job politely; a checkpoint is kept. Called from the
    main thread.

    Args:
        workspace: Whose machine lock counts.
        directory: The job.
        on_snapshot: Told how it stands whenever that has changed.

    Raises:
        GpuBusyError: Another job has the machine.
    """
    supervisor = RunSupervisor(directory)
    supervisor.start(GpuLease.acquire(workspace.machine_lock, holder=directory.run_id))
    signals = (signal.SIGINT, signal.SIGTERM)
    earlier = [signal.signal(one, lambda *_: supervisor.request_stop()) for one in signals]
    try:
        told = 0
        while True:
            is_over = not supervisor.is_watching
            if supervisor.snapshot.seq > told:
                told = supervisor.snapshot.seq
                on_snapshot(supervisor.snapshot)
            if is_over:
                return supervisor.snapshot
            supervisor.join(timeout=1.0)
    finally:
        for one, handler in zip(signals, earlier, strict=True):
            signal.signal(one, handler)


def _mirrored(services: Services, directory: RunDirectory) -> str:
    """The run that a job is copied with: itself, or the one that it asks; empty for neither."""
    run_id = str(directory.spec().dataset.get("run_id", directory.run_id))
    return run_id if (services.workspace.runs / run_id).is_dir() else ""


class Progress:
    """Says how a job stands, each line once."""

    def __init__(self) -> None:
        self._said = ""

    def say(self, snapshot: RunSnapshot) -> None:
        """Says how it stands, unless that was said."""
        line, step = snapshot.phase, snapshot.last_step
        if step:
            line += f": step {step.step} of {step.total_steps}, loss {step.loss:.3f}"
        elif snapshot.items_total:
            line += f": {snapshot.items_done} of {snapshot.items_total}"
        if line != self._said:
            say(line)
            self._said = line

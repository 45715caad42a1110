"""A job done while a command waits: how it stands, line by line, and what came of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from medqlora.domain.events import RunFailed
from medqlora.domain.snapshot import RunSnapshot
from medqlora.printing import say
from medqlora.runs.run_directory import RunDirectory
from medqlora.services import Services
from medqlora.services.jobs import run_in_foreground

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

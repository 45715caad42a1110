"""One line of the list of runs, from what is on record of a run."""

from __future__ import annotations

from dataclasses import dataclass

from medqlora.domain.jobs import JobSpec
from medqlora.domain.snapshot import RunSnapshot, RunState
from medqlora.runs.run_directory import RunDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One line of the list of runs.

    Attributes:
        run_id: The run.
        name: What the user sees.
        state: How it stands.
        created_at: UTC time, ISO 8601.
        model_name: Base model.
        dataset_name: Data it trains on.
        step: Last step done.
        total_steps: Steps in all, 0 before the first.
        loss: Newest training loss, or None.
        eval_loss: Newest loss on the held-out entries, or None.
        has_adapter: Whether there is something to evaluate and compare.
        can_resume: Whether it ended before it was done.
    """

    run_id: str
    name: str
    state: RunState
    created_at: str
    model_name: str
    dataset_name: str
    step: int
    total_steps: int
    loss: float | None
    eval_loss: float | None
    has_adapter: bool
    can_resume: bool


def summary_of(directory: RunDirectory, spec: JobSpec, snapshot: RunSnapshot) -> RunSummary:
    """The line of a run."""

    def newest(trace: str) -> float | None:
        points = snapshot.traces.get(trace)
        return points[-1].y if points else None

    is_waiting = directory.queued.exists() and snapshot.state != "running"
    return RunSummary(
        run_id=spec.run_id,
        name=spec.name,
        state="waiting" if is_waiting else snapshot.state,
        created_at=spec.created_at,
        model_name=spec.config["model_name"],
        dataset_name=spec.dataset["name"],
        step=snapshot.last_step.step if snapshot.last_step else snapshot.checkpoint_step,
        total_steps=snapshot.last_step.total_steps if snapshot.last_step else 0,
        loss=newest("loss"),
        eval_loss=newest("eval_loss"),
        has_adapter=directory.adapter.is_dir(),
        can_resume=snapshot.can_resume and not is_waiting,
    )

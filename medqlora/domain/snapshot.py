"""What a viewer sees of a run: a bounded summary, folded from its events by `apply`, which is pure.

Every viewer, refreshed page and restarted server folds the same log and so sees the same. The
snapshot does not grow with the run: a trace keeps at most `MAX_POINTS` points and messages at most
`MAX_MESSAGES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from medqlora.domain.events import (
    CheckpointSaved,
    EvalLogged,
    Event,
    ItemEvaluated,
    MemoryExpected,
    MemorySampled,
    Outcome,
    ParametersAdjusted,
    PhaseChanged,
    RunFailed,
    RunStarted,
    RunStopped,
    RunSucceeded,
    RunWarned,
    StepLogged,
)
from medqlora.domain.memory_check import MemoryCheck

MAX_POINTS = 500
MAX_MESSAGES = 50

RunState = Literal["waiting", "running", "succeeded", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a trace.

    Attributes:
        seq: The event it came from, so that a viewer can ask for what is newer.
        x: Optimizer step, or seconds since the run's first event for memory.
        y: The value; NaN is a gap in the plot.
    """

    seq: int
    x: float
    y: float


Traces = Mapping[str, tuple[Point, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A sentence for the user, with when it was said."""

    seq: int
    at: datetime
    level: Literal["info", "warning", "error"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSnapshot:
    """A run at one moment.

    Attributes:
        run_id: The run.
        seq: The last event folded in; a viewer whose cursor equals it has nothing to fetch.
        job: `train` or `evaluate`, empty before the first event.
        phase: What is being done, in words.
        progress: Share done of the phase, 0 to 1, or None.
        attempt: Attempts begun so far.
        attempt_seq: The event that opened the current attempt; points before it may have been
            dropped since.
        started_at: First event of the run.
        updated_at: Last event of the run.
        last_step: The newest step, or None before the first.
        last_memory: The newest memory sample, or None.
        peak_memory_gib: Largest `used_gib` seen in any attempt.
        memory_check: The newest forecast beside what was measured since, or None.
        checkpoint_step: Step of the newest checkpoint, 0 when there is none.
        items_done: Items evaluated so far.
        items_total: Items to evaluate.
        traces: Points by trace name: `loss`, `eval_loss`, `learning_rate`, `grad_norm`,
            `tokens_per_second`, `memory_used_gib`, `memory_limit_gib`.
        messages: The newest sentences for the user.
        outcome: How the current attempt ended, or None while it is going on.
    """

    run_id: str
    seq: int = 0
    job: str = ""
    phase: str = "Waiting to start"
    progress: float | None = None
    attempt: int = 0
    attempt_seq: int = 0
    started_at: datetime | None = None
    updated_at: datetime | None = None
    last_step: StepLogged | None = None
    last_memory: MemorySampled | None = None
    peak_memory_gib: float = 0.0
    memory_check: MemoryCheck | None = None
    checkpoint_step: int = 0
    items_done: int = 0
    items_total: int = 0
    traces: Traces = field(default_factory=lambda: MappingProxyType({}))
    messages: tuple[Message, ...] = ()
    outcome: Outcome | None = None

    @property
    def state(self) -> RunState:
        """The outcome as one word, for display and filters."""
        match self.outcome:
            case RunSucceeded():
                return "succeeded"
            case RunStopped():
                return "stopped"
            case RunFailed():
                return "failed"
            case None:
                return "running" if self.seq else "waiting"

    @property
    def is_live(self) -> bool:
        """Whether more events can be expected without anybody doing anything."""
        return self.outcome is None

    @property
    def can_resume(self) -> bool:
        """Whether it ended before it was done.

        A resume goes on from its checkpoint, or from the start without one.
        """
        return isinstance(self.outcome, RunStopped | RunFailed)


def fold(run_id: str, events: Iterable[Event]) -> RunSnapshot:
    """The snapshot after `events`, from the first on."""
    snapshot = RunSnapshot(run_id=run_id)
    for event in events:
        snapshot = apply(snapshot, event)
    return snapshot


def apply(snapshot: RunSnapshot, event: Event) -> RunSnapshot:
    """The snapshot after one more event."""
    changes = _CHANGES[type(event)](snapshot, event)
    return replace(
        snapshot,
        seq=event.seq,
        updated_at=event.at,
        started_at=snapshot.started_at or event.at,
        **changes,
    )


def newer_points(traces: Traces, after_seq: int) -> dict[str, list[Point]]:
    """The points that a viewer who has seen everything up to `after_seq` lacks."""
    return {name: [p for p in points if p.seq > after_seq] for name, points in traces.items()}


def _extended(traces: Traces, seq: int, x: float, values: Mapping[str, float]) -> Traces:
    grown = dict(traces)
    for name, y in values.items():
        grown[name] = _thinned((*traces.get(name, ()), Point(seq, x, y)))
    return MappingProxyType(grown)


def _thinned(points: tuple[Point, ...]) -> tuple[Point, ...]:
    # Every second point goes once the bound is passed; the first and the newest always stay.
    return points if len(points) <= MAX_POINTS else (*points[:-1:2], points[-1])


def _without_later_steps(traces: Traces, step: int) -> Traces:
    kept = {
        name: points if name.startswith("memory") else tuple(p for p in points if p.x <= step)
        for name, points in traces.items()
    }
    return MappingProxyType(kept)


def _said(
    snapshot: RunSnapshot, event: Event, level: Literal["info", "warning", "error"], *texts: str
) -> tuple[Message, ...]:
    new = tuple(Message(seq=event.seq, at=event.at, level=level, text=text) for text in texts)
    return (*snapshot.messages, *new)[-MAX_MESSAGES:]


def _started(snapshot: RunSnapshot, event: RunStarted) -> dict[str, Any]:
    step = event.resumed_from_step
    changes: dict[str, Any] = {
        "job": event.job,
        "phase": "Starting",
        "progress": None,
        "attempt": snapshot.attempt + 1,
        "attempt_seq": event.seq,
        "traces": _without_later_steps(snapshot.traces, step),
        "outcome": None,
        "last_step": None,
        "items_done": 0,
    }
    if step:
        changes["messages"] = _said(
            snapshot, event, "info", f"Resumed from the checkpoint of step {step}."
        )
    return changes


def _phase(_: RunSnapshot, event: PhaseChanged) -> dict[str, Any]:
    return {"phase": event.phase, "progress": event.progress}


def _step(snapshot: RunSnapshot, event: StepLogged) -> dict[str, Any]:
    values = {
        "loss": event.loss,
        "learning_rate": event.learning_rate,
        "grad_norm": event.grad_norm,
        "tokens_per_second": event.tokens_per_second,
    }
    return {
        "last_step": event,
        "progress": event.step / event.total_steps,
        "traces": _extended(snapshot.traces, event.seq, event.step, values),
    }


def _eval(snapshot: RunSnapshot, event: EvalLogged) -> dict[str, Any]:
    return {
        "traces": _extended(snapshot.traces, event.seq, event.step, {"eval_loss": event.eval_loss})
    }


def _memory(snapshot: RunSnapshot, event: MemorySampled) -> dict[str, Any]:
    seconds = (event.at - (snapshot.started_at or event.at)).total_seconds()
    values = {"memory_used_gib": event.used_gib, "memory_limit_gib": event.limit_gib}
    return {
        "last_memory": event,
        "peak_memory_gib": max(snapshot.peak_memory_gib, event.used_gib),
        "memory_check": snapshot.memory_check and snapshot.memory_check.with_sample(event),
        "traces": _extended(snapshot.traces, event.seq, round(seconds, 1), values),
    }


def _checkpoint(_: RunSnapshot, event: CheckpointSaved) -> dict[str, Any]:
    return {"checkpoint_step": event.step}


def _item(_: RunSnapshot, event: ItemEvaluated) -> dict[str, Any]:
    return {
        "items_done": event.index,
        "items_total": event.total,
        "progress": event.index / event.total,
    }


def _warned(snapshot: RunSnapshot, event: RunWarned) -> dict[str, Any]:
    return {"messages": _said(snapshot, event, "warning", f"{event.message} {event.hint}".strip())}


def _adjusted(snapshot: RunSnapshot, event: ParametersAdjusted) -> dict[str, Any]:
    texts = (f"{one.name}: {one.old} → {one.new}. {one.reason}" for one in event.adjustments)
    return {"messages": _said(snapshot, event, "info", *texts)}


def _succeeded(_: RunSnapshot, event: RunSucceeded) -> dict[str, Any]:
    return {"outcome": event, "phase": "Done", "progress": 1.0}


def _stopped(_: RunSnapshot, event: RunStopped) -> dict[str, Any]:
    return {"outcome": event, "phase": f"Stopped after step {event.step}"}


def _failed(snapshot: RunSnapshot, event: RunFailed) -> dict[str, Any]:
    said = _said(snapshot, event, "error", f"{event.message} {event.hint}".strip())
    return {"outcome": event, "phase": "Failed", "messages": said}


_CHANGES: Mapping[type[Event], Callable[[RunSnapshot, Any], dict[str, Any]]] = {
    RunStarted: _started,
    PhaseChanged: _phase,
    StepLogged: _step,
    EvalLogged: _eval,
    MemoryExpected: lambda _, event: {"memory_check": MemoryCheck.begun(event)},
    MemorySampled: _memory,
    CheckpointSaved: _checkpoint,
    ItemEvaluated: _item,
    RunWarned: _warned,
    ParametersAdjusted: _adjusted,
    RunSucceeded: _succeeded,
    RunStopped: _stopped,
    RunFailed: _failed,
}

"""Runs for the tests, folded from real events."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from medqlora.domain.events import (
    CheckpointSaved,
    EvalLogged,
    Event,
    MemorySampled,
    RunStarted,
    RunStopped,
    StepLogged,
)
from medqlora.domain.snapshot import RunSnapshot, fold

BEGUN = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def folded(events: Iterable[Event], run_id: str = "run-a") -> RunSnapshot:
    """The snapshot of events, stamped as the log would: one a second."""
    stamped = (
        replace(event, seq=number, run_id=run_id, at=BEGUN + timedelta(seconds=number))
        for number, event in enumerate(events, 1)
    )
    return fold(run_id, stamped)


def step(number: int, loss: float, total: int = 10) -> StepLogged:
    return StepLogged(
        step=number,
        total_steps=total,
        epoch=number / total,
        loss=loss,
        learning_rate=1e-4,
        grad_norm=1.0,
        tokens_per_second=100.0,
        num_tokens=number * 50,
        seconds_left=(total - number) * 2.0,
    )


def memory(used_gib: float) -> MemorySampled:
    return MemorySampled(source="ram", used_gib=used_gib, limit_gib=16.0)


STARTED = RunStarted(job="train")
THREE_STEPS = [STARTED, memory(1.0), step(1, 3.0), step(2, 2.5), EvalLogged(step=2, eval_loss=2.7)]
STOPPED = [
    *THREE_STEPS,
    CheckpointSaved(step=2, size_bytes=1),
    RunStopped(step=2, checkpoint_step=2),
]

"""What a viewer sees follows from the events alone, stays small, and shows no step twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from medqlora.domain.events import (
    CheckpointSaved,
    EvalLogged,
    Event,
    MemorySampled,
    RunFailed,
    RunStarted,
    RunStopped,
    RunSucceeded,
    RunWarned,
    StepLogged,
)
from medqlora.domain.snapshot import (
    MAX_MESSAGES,
    MAX_POINTS,
    RunSnapshot,
    apply,
    fold,
    newer_points,
)

BEGIN = datetime(2026, 11, 22, 10, tzinfo=UTC)


def stamped(events: Iterable[Event], first_seq: int = 1) -> list[Event]:
    return [
        replace(event, seq=seq, run_id="r", at=BEGIN + timedelta(seconds=seq))
        for seq, event in enumerate(events, start=first_seq)
    ]


def step(number: int, total: int = 100, loss: float = 1.0) -> StepLogged:
    return StepLogged(
        step=number,
        total_steps=total,
        epoch=number / total,
        loss=loss,
        learning_rate=1e-4,
        grad_norm=0.5,
        tokens_per_second=100.0,
        num_tokens=number * 80,
        seconds_left=float(total - number),
    )


def shown(snapshot: RunSnapshot, trace: str = "loss") -> list[float]:
    return [point.x for point in snapshot.traces[trace]]


def test_a_run_without_events_waits() -> None:
    assert fold("r", []).state == "waiting"


def test_folding_in_two_parts_is_folding_at_once() -> None:
    events = stamped([RunStarted(job="train"), *map(step, range(1, 30)), RunSucceeded(metrics={})])
    later = fold("r", events[:10])
    for event in events[10:]:
        later = apply(later, event)
    assert later == fold("r", events)


def test_a_resumed_run_shows_no_step_twice_and_no_gap() -> None:
    events = stamped(
        [
            RunStarted(job="train"),
            *map(step, range(1, 8)),
            CheckpointSaved(step=5, size_bytes=1),
            RunFailed(code="killed", message="Gone.", hint="Resume."),
            RunStarted(job="train", resumed_from_step=5),
            *map(step, range(6, 11)),
            RunSucceeded(metrics={}),
        ]
    )
    assert shown(fold("r", events)) == list(range(1, 11))


def test_a_run_that_starts_again_from_nothing_drops_what_it_had() -> None:
    events = stamped(
        [
            RunStarted(job="train"),
            step(1),
            RunFailed(code="killed", message="Gone.", hint=""),
            RunStarted(job="train"),
        ]
    )
    snapshot = fold("r", events)
    assert shown(snapshot) == []
    assert snapshot.is_live


def test_a_long_run_keeps_a_bounded_number_of_points_with_both_ends() -> None:
    snapshot = fold(
        "r", stamped([RunStarted(job="train"), *(step(i, 20_000) for i in range(1, 20_001))])
    )
    assert len(shown(snapshot)) <= MAX_POINTS
    assert shown(snapshot)[0] == 1
    assert shown(snapshot)[-1] == 20_000


def test_messages_are_bounded_and_the_newest_stay() -> None:
    warnings = [RunWarned(message=f"Warning {i}.") for i in range(MAX_MESSAGES + 5)]
    snapshot = fold("r", stamped([RunStarted(job="train"), *warnings]))
    assert len(snapshot.messages) == MAX_MESSAGES
    assert snapshot.messages[-1].text == f"Warning {MAX_MESSAGES + 4}."


def test_a_viewer_gets_only_what_it_lacks() -> None:
    snapshot = fold("r", stamped([RunStarted(job="train"), step(1), step(2), step(3)]))
    assert [point.x for point in newer_points(snapshot.traces, after_seq=3)["loss"]] == [3]


def test_two_viewers_with_cursors_of_their_own_both_see_every_step() -> None:
    events = stamped([RunStarted(job="train"), *map(step, range(1, 21))])
    seen: dict[str, list[float]] = {"often": [], "rarely": []}
    cursors = {"often": 0, "rarely": 0}
    snapshot = RunSnapshot(run_id="r")
    for number, event in enumerate(events, start=1):
        snapshot = apply(snapshot, event)
        for viewer, period in (("often", 1), ("rarely", 7)):
            if number % period == 0:
                new = newer_points(snapshot.traces, cursors[viewer]).get("loss", [])
                seen[viewer] += [point.x for point in new]
                cursors[viewer] = snapshot.seq
    assert seen["often"] == list(range(1, 21))
    assert seen["rarely"] == list(range(1, 21))


def test_memory_is_kept_over_attempts_and_its_peak_is_remembered() -> None:
    events = stamped(
        [
            RunStarted(job="train"),
            MemorySampled(source="ram", used_gib=3.0, limit_gib=8.0),
            RunStopped(step=0),
            RunStarted(job="train"),
            MemorySampled(source="ram", used_gib=2.0, limit_gib=8.0),
        ]
    )
    snapshot = fold("r", events)
    assert snapshot.peak_memory_gib == 3.0
    assert [point.y for point in snapshot.traces["memory_used_gib"]] == [3.0, 2.0]


def test_the_held_out_loss_has_a_trace_of_its_own() -> None:
    snapshot = fold("r", stamped([RunStarted(job="train"), EvalLogged(step=0, eval_loss=4.2)]))
    assert [(point.x, point.y) for point in snapshot.traces["eval_loss"]] == [(0, 4.2)]


def test_only_a_run_that_ended_early_can_be_resumed() -> None:
    started = RunStarted(job="train")
    assert not fold("r", stamped([started])).can_resume
    assert not fold("r", stamped([started, RunSucceeded(metrics={})])).can_resume
    assert fold("r", stamped([started, RunStopped(step=3)])).can_resume
    assert fold("r", stamped([started, RunFailed(code="x", message="y", hint="z")])).can_resume

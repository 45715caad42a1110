"""Events keep everything they carry through JSON, and every kind has one type."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from datetime import UTC, datetime

import pytest

from medqlora.domain import events
from medqlora.domain.recovery import ParameterAdjustment

SAMPLES = [
    events.RunStarted(job="train", resumed_from_step=3),
    events.PhaseChanged(phase="Loading", progress=0.5),
    events.StepLogged(
        step=1,
        total_steps=2,
        epoch=0.5,
        loss=1.5,
        learning_rate=1e-4,
        grad_norm=0.3,
        tokens_per_second=10.0,
        num_tokens=20,
        seconds_left=4.0,
    ),
    events.EvalLogged(step=1, eval_loss=2.0),
    events.MemorySampled(source="ram", used_gib=1.0, limit_gib=2.0),
    events.MemoryExpected(source="gpu", expected_gib=5.3, num_tokens=800),
    events.CheckpointSaved(step=1, size_bytes=10),
    events.ItemEvaluated(
        index=1, total=2, base_scores={"token_f1": 0.1}, finetuned_scores={"token_f1": 0.2}
    ),
    events.RunWarned(message="Careful.", hint="Look."),
    events.ParametersAdjusted(
        adjustments=(ParameterAdjustment(name="rank", old=16, new=8, reason="Less memory."),)
    ),
    events.RunSucceeded(metrics={"train_loss": 1.0}),
    events.RunStopped(step=1, checkpoint_step=1),
    events.RunFailed(code="x", message="It broke.", hint="Mend it."),
]


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.kind)
def test_an_event_comes_back_from_json_as_it_was(event: events.Event) -> None:
    line = json.dumps(events.to_json(event))
    assert events.from_json(json.loads(line)) == event


def test_every_kind_of_event_is_tested_above() -> None:
    assert {type(event) for event in SAMPLES} == set(events.EVENT_TYPES.values())


def test_a_nan_loss_stays_nan() -> None:
    step = SAMPLES[2]
    record = {**events.to_json(step), "loss": math.nan}
    back = events.from_json(json.loads(json.dumps(record)))
    assert isinstance(back, events.StepLogged)
    assert math.isnan(back.loss)


def test_a_field_of_a_later_version_is_ignored() -> None:
    record = {**events.to_json(SAMPLES[3]), "perplexity": 7.4}
    assert events.from_json(record) == SAMPLES[3]


def test_the_stamp_survives() -> None:
    at = datetime(2026, 11, 22, 10, tzinfo=UTC)
    stamped = events.EvalLogged(seq=7, run_id="r", at=at, step=1, eval_loss=2.0)
    assert events.from_json(events.to_json(stamped)) == stamped


def test_no_event_has_a_field_for_text_of_a_row() -> None:
    names = {one.name for event in events.EVENT_TYPES.values() for one in fields(event)}
    assert not names & {"text", "prompt", "question", "answer", "query", "response", "reference"}

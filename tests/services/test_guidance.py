"""A job that failed comes with steps, whatever went wrong, and a session's end is said in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from html import unescape

import pytest

from medqlora.colab.session import SessionManager
from medqlora.domain.events import Event, RunFailed, RunStarted, RunStopped, StepLogged
from medqlora.domain.snapshot import RunSnapshot, fold
from medqlora.errors import ERRORS_BY_CODE
from medqlora.services.guidance import GuidanceService
from ui import shared

HOUR = 3600.0


def colab(hours_old: float) -> GuidanceService:
    return GuidanceService(
        SessionManager(is_colab=True, started_at=0.0, clock=lambda: hours_old * HOUR)
    )


def snapshot_of(*events: Event) -> RunSnapshot:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return fold("r", (replace(one, seq=seq, at=at) for seq, one in enumerate(events, start=1)))


def failed(code: str) -> RunSnapshot:
    return snapshot_of(
        RunStarted(job="train"), RunFailed(code=code, message="It failed.", hint="Try again.")
    )


def going_on(seconds_left: float) -> RunSnapshot:
    step = StepLogged(
        step=1,
        total_steps=10,
        epoch=0.1,
        loss=2.0,
        learning_rate=1e-4,
        grad_norm=1.0,
        tokens_per_second=10.0,
        num_tokens=10,
        seconds_left=seconds_left,
    )
    return snapshot_of(RunStarted(job="train"), step)


@pytest.mark.parametrize("code", [*ERRORS_BY_CODE, "unexpected"])
def test_every_failure_comes_with_steps(code: str) -> None:
    steps = colab(0).steps(failed(code))
    assert steps
    assert all(step.endswith(".") for step in steps)
    shown = unescape(shared.messages_html(colab(0), failed(code)))
    assert shown.index(steps[0]) < shown.index("It failed. Try again.")


def test_a_run_that_did_not_fail_needs_no_steps() -> None:
    stopped = snapshot_of(RunStarted(job="train"), RunStopped(step=3, checkpoint_step=3))
    assert colab(0).steps(stopped) == ()


def test_a_run_that_is_longer_than_the_session_is_told_before_it_is_cut() -> None:
    fitting = colab(1).session(going_on(2 * HOUR))
    too_long = colab(1).session(going_on(11.5 * HOUR))
    assert fitting
    assert not fitting.is_short
    assert too_long
    assert too_long.is_short
    assert "needs more than that" in too_long.message


def test_away_from_colab_nothing_is_limited() -> None:
    guidance = GuidanceService(SessionManager(is_colab=False))
    assert guidance.session(going_on(1e9)) is None
    assert guidance.reconnection().steps

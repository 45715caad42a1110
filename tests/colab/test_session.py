"""How long a session may last, in words, and the way back after it."""

from __future__ import annotations

import pytest

from medqlora.colab.session import LIMITS, SessionManager
from medqlora.errors import SessionError


def after(hours: float, *, plan: str = "free") -> SessionManager:
    return SessionManager(plan=plan, is_colab=True, started_at=0.0, clock=lambda: hours * 3600)


def test_what_is_left_is_counted_down_from_the_plans_limit() -> None:
    left = after(2.5).time_left()
    assert left is not None
    assert left.seconds_left == 9.5 * 3600
    assert left.message.startswith("At most 9 h 30 min are left.")
    assert not left.is_short


@pytest.mark.parametrize("hours", [11.8, 13.0])
def test_a_session_that_is_nearly_over_says_so(hours: float) -> None:
    left = after(hours).time_left()
    assert left is not None
    assert left.is_short
    assert left.seconds_left >= 0
    assert "Save your work" in left.message


def test_every_plan_is_described() -> None:
    for plan, limit in LIMITS.items():
        assert after(0, plan=plan).limit == limit
        assert limit.note.endswith(".")


def test_away_from_colab_there_is_no_limit_and_another_guide() -> None:
    here = SessionManager(is_colab=False)
    assert here.time_left() is None
    assert here.reconnection_guide() != after(1).reconnection_guide()
    assert all(step.endswith(".") for step in here.reconnection_guide().steps)


def test_the_start_of_this_machine_is_found() -> None:
    assert SessionManager(is_colab=True).time_left() is not None


def test_an_unknown_plan_is_refused() -> None:
    with pytest.raises(SessionError, match="no Colab plan"):
        SessionManager(plan="gold")


def test_the_plan_and_the_start_can_be_told_by_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEDQLORA_COLAB_PLAN", "pro_plus")
    monkeypatch.setenv("MEDQLORA_SESSION_STARTED", "3600")
    left = SessionManager(is_colab=True, clock=lambda: 2 * 3600.0).time_left()
    assert left is not None
    assert left.seconds_left == 23 * 3600
    monkeypatch.setenv("MEDQLORA_SESSION_STARTED", "yesterday")
    with pytest.raises(SessionError, match="seconds since 1970"):
        SessionManager(is_colab=True)

"""SessionManager: how long a Colab session may last, what is left of it, and how to come back.

The limits are data, as Colab's FAQ states them; Colab may end a session earlier and does not say
when, so what is left is an upper bound. Nothing here keeps a session alive, which Colab's terms do
not allow, or saves anything: checkpoints are the run's work.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from medqlora.domain.recovery import ReconnectionGuide
from medqlora.errors import SessionError
from medqlora.recovery import ErrorRecoveryManager

PLAN_VARIABLE = "MEDQLORA_COLAB_PLAN"
STARTED_VARIABLE = "MEDQLORA_SESSION_STARTED"
"""A job's process learns from its environment what the page's process was told."""

WARN_SECONDS = 30 * 60.0
"""With less than this left, a long run should not be started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimit:
    """What a plan of Colab allows.

    Attributes:
        plan: Its name, as `SessionManager` takes it.
        most_hours: Longest life of a machine, in hours.
        idle_minutes: Time without a running cell after which it is usually taken away.
        note: One sentence for the user.
    """

    plan: str
    most_hours: float
    idle_minutes: float
    note: str


LIMITS: dict[str, SessionLimit] = {
    limit.plan: limit
    for limit in (
        SessionLimit(
            plan="free",
            most_hours=12.0,
            idle_minutes=90.0,
            note="Free machines end after at most 12 hours, earlier when they are in demand.",
        ),
        SessionLimit(
            plan="pro",
            most_hours=12.0,
            idle_minutes=90.0,
            note="Pro machines end after at most 12 hours, or when the compute units are used up.",
        ),
        SessionLimit(
            plan="pro_plus",
            most_hours=24.0,
            idle_minutes=90.0,
            note="Pro+ machines end after at most 24 hours while compute units last.",
        ),
    )
}
"""Source: https://research.google.com/colaboratory/faq.html; Colab publishes no idle time, the 90
minutes are what users see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTime:
    """What is left of a session.

    Attributes:
        seconds_left: Upper bound of the time left, 0 when it should be over already.
        is_short: Whether a long run should not be started, or the present one will not fit.
        message: The same in words.
    """

    seconds_left: float
    is_short: bool
    message: str


class SessionManager:
    """The session of this machine.

    Args:
        plan: A name of `LIMITS`; the environment's `MEDQLORA_COLAB_PLAN`, else `free`, when not
            given.
        is_colab: Whether this is a Colab machine; found out when not given.
        started_at: When the machine started, in seconds since 1970; the environment's
            `MEDQLORA_SESSION_STARTED`, else the start of its first process, when not given.
        clock: Now, in seconds since 1970.

    Raises:
        SessionError: There is no such plan, or the start is not a number.
    """

    def __init__(
        self,
        *,
        plan: str | None = None,
        is_colab: bool | None = None,
        started_at: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        plan = plan or os.environ.get(PLAN_VARIABLE, "free")
        if plan not in LIMITS:
            raise SessionError(
                f"There is no Colab plan called {plan!r}.",
                hint=f"Choose one of: {', '.join(LIMITS)}.",
            )
        self.limit = LIMITS[plan]
        self._is_colab = _is_colab() if is_colab is None else is_colab
        self._started_at = _machine_start() if started_at is None else started_at
        self._clock = clock

    def time_left(self, *, needed_seconds: float | None = None) -> SessionTime | None:
        """How long the session may still last; None on a machine that is not Colab's.

        Args:
            needed_seconds: What the run that is going on still needs, to say whether it fits.
        """
        if not self._is_colab:
            return None
        left = max(self._started_at + self.limit.most_hours * 3600 - self._clock(), 0.0)
        hours, minutes = divmod(int(left // 60), 60)
        is_too_long = needed_seconds is not None and needed_seconds > left
        is_short = left < WARN_SECONDS or is_too_long
        advice = ""
        if is_too_long:
            advice = (
                "The run needs more than that: it goes on from its last checkpoint in a new "
                "session, if runs are copied to your Drive. "
            )
        elif is_short:
            advice = "Save your work and start a new session before a long run. "
        return SessionTime(
            seconds_left=left,
            is_short=is_short,
            message=f"At most {hours} h {minutes} min are left. {advice}{self.limit.note}",
        )

    def reconnection_guide(self) -> ReconnectionGuide:
        """How to go on after the session was lost; away from Colab, after the server stopped."""
        if self._is_colab:
            return ErrorRecoveryManager().handle_session_disconnect()
        return ReconnectionGuide(
            message="Runs go on when the page or the server is closed; nothing was lost.",
            steps=(
                "Start the app with the same workspace folder.",
                "Open the Train tab; a run that is still going on is shown there.",
                "Choose a run that was interrupted and press Resume.",
            ),
        )


def _machine_start() -> float:
    given = os.environ.get(STARTED_VARIABLE, "")
    try:
        return float(given) if given else psutil.Process(1).create_time()
    except ValueError as error:
        raise SessionError(
            f"{STARTED_VARIABLE} must be seconds since 1970, got {given[:40]!r}.",
            hint="Leave it out to take the start of this machine.",
        ) from error


def _is_colab() -> bool:
    return (
        importlib.util.find_spec("google") is not None
        and importlib.util.find_spec("google.colab") is not None
    )

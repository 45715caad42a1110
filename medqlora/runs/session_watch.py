"""SessionWatch: tells a run that its machine is about to be taken away, and has it saved before.

How long the machine may last is `colab.session`'s to say, and saving is the trainer's. This stands
between the job and its log, so that every viewer and a post-mortem see the same warning, once.
"""

from __future__ import annotations

from medqlora.colab.session import SessionManager
from medqlora.domain.events import Event, RunWarned, StepLogged
from medqlora.runs.heartbeat import Report

SAVE_SECONDS = (600.0, 180.0)
"""With so much left of the session, a checkpoint is saved beyond the schedule."""

STEPS_PER_SAVE = 3
"""Where steps are long: a checkpoint is asked for so many steps before the end at the latest."""

TRUSTED_STEPS = 3
"""So many steps of an attempt, the first of which compile, say nothing about the time needed."""


class SessionWatch:
    """One attempt's eye on the session.

    Args:
        session: The session of this machine.
        report: Where events go.
    """

    def __init__(self, session: SessionManager, report: Report) -> None:
        self._session = session
        self._report = report
        self._num_steps = 0
        self._step_seconds = 0.0
        self._has_warned = False
        self._saves_to_come = list(SAVE_SECONDS)

    def report(self, event: Event) -> Event:
        """Passes an event on; after a step, warns once if the rest will not fit."""
        told = self._report(event)
        if isinstance(event, StepLogged):
            self._look(event)
        return told

    def take_save_request(self) -> bool:
        """Whether a checkpoint should be saved now because the session ends soon."""
        left = self._session.time_left()
        if left is None or not self._saves_to_come:
            return False
        margin = STEPS_PER_SAVE * self._step_seconds
        due = [one for one in self._saves_to_come if left.seconds_left <= one + margin]
        if not due:
            return False
        self._saves_to_come = [one for one in self._saves_to_come if one not in due]
        minutes = round(left.seconds_left / 60)
        self._report(
            RunWarned(
                message=f"The session ends in at most {minutes} minutes; a checkpoint is saved.",
                hint=" ".join(self._session.reconnection_guide().steps),
            )
        )
        return True

    def _look(self, step: StepLogged) -> None:
        self._num_steps += 1
        self._step_seconds = step.seconds_left / max(step.total_steps - step.step, 1)
        if self._has_warned or self._num_steps <= TRUSTED_STEPS:
            return
        left = self._session.time_left(needed_seconds=step.seconds_left)
        if left is None or step.seconds_left <= left.seconds_left:
            return
        self._has_warned = True
        self._report(
            RunWarned(
                message=f"The run needs about {_hours(step.seconds_left)} more, and the session "
                f"lasts at most {_hours(left.seconds_left)}.",
                hint="A checkpoint is saved before it ends; the run goes on from there in a new "
                "session, if the workspace is on your Drive.",
            )
        )


def _hours(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"

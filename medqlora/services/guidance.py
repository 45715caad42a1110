"""GuidanceService: what to do after something went wrong, and how long the session may last.

The policy is `recovery`'s and the limits are `colab.session`'s; this only brings them to the tabs.
"""

from __future__ import annotations

from medqlora.colab.session import SessionManager, SessionTime
from medqlora.domain.events import RunFailed
from medqlora.domain.recovery import ReconnectionGuide
from medqlora.domain.snapshot import RunSnapshot
from medqlora.recovery import ErrorRecoveryManager


class GuidanceService:
    """Advice for the user.

    Args:
        session: The session of this machine; this machine's own when not given.
    """

    def __init__(self, session: SessionManager | None = None) -> None:
        self._session = session or SessionManager()

    def steps(self, snapshot: RunSnapshot) -> tuple[str, ...]:
        """What to do, in order, about a job that failed; nothing for one that did not."""
        if not isinstance(snapshot.outcome, RunFailed):
            return ()
        return ErrorRecoveryManager().steps_for(snapshot.outcome.code)

    def session(self, snapshot: RunSnapshot | None = None) -> SessionTime | None:
        """How long the session may still last, and whether a run that is going on fits into it.

        None on a machine whose time is not limited.
        """
        step = snapshot.last_step if snapshot and snapshot.is_live else None
        return self._session.time_left(needed_seconds=step.seconds_left if step else None)

    def reconnection(self) -> ReconnectionGuide:
        """How to go on after the connection, the page or the session was lost."""
        return self._session.reconnection_guide()

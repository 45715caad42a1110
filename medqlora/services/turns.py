"""A queue of people who wait for one thing: first come, first served, each told how many are ahead.

A `threading.Lock` wakes waiters in no order and tells none of them where they stand.
"""

from __future__ import annotations

import threading


class Turns:
    """Who may go now, and who waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tickets: list[object] = []

    def take(self) -> object:
        """A ticket at the end of the queue; to be given back with `leave`, whatever happens."""
        ticket = object()
        with self._changed:
            self._tickets.append(ticket)
        return ticket

    def take_if_free(self) -> object | None:
        """A ticket whose turn it is at once, or None when anybody has one."""
        with self._changed:
            if self._tickets:
                return None
            ticket = object()
            self._tickets.append(ticket)
            return ticket

    def ahead(self, ticket: object, *, wait_seconds: float = 0.0) -> int:
        """How many have to be served before this ticket; 0 when it is its turn.

        Args:
            ticket: From `take`.
            wait_seconds: How long to wait for a change first, unless it is its turn already.
        """
        with self._changed:
            if self._tickets[0] is not ticket and wait_seconds:
                self._changed.wait(wait_seconds)
            return self._tickets.index(ticket)

    def leave(self, ticket: object) -> None:
        """Done, or not waiting any more."""
        with self._changed:
            self._tickets.remove(ticket)
            self._changed.notify_all()

"""How often somebody may try, and how much one visitor may have going on at once.

Nothing here knows of HTTP: who somebody is comes as a key, and time from a clock. All tables are
bounded; the entry that was used longest ago goes first.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MAX_CLIENTS = 10_000
WRONG_BEFORE_LOCK = 5
LOCK_SECONDS = 300.0
WRONG_OVERALL = 20
OVERALL_WINDOW_SECONDS = 300.0
OVERALL_PAUSE_SECONDS = 30.0
MAX_OVERALL_PAUSE_SECONDS = 600.0


@dataclass(slots=True)
class _Tries:
    wrong: int = 0
    locked_until: float = 0.0


class Lockout:
    """Wrong passwords: five lock their client out, and many from everywhere slow all down.

    A guesser with many addresses meets the second rule. It holds for the form alone: links open
    meanwhile, so that a guesser cannot keep the owner out.

    Args:
        clock: Seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._clients: OrderedDict[str, _Tries] = OrderedDict()
        self._overall: list[float] = []
        self._paused_until = 0.0
        self._pause = OVERALL_PAUSE_SECONDS

    def seconds_left(self, client: str, *, with_link: bool = False) -> float:
        """How long a client has to wait before it may try; 0.0 for not at all."""
        now = self._clock()
        tries = self._clients.get(client)
        own = tries.locked_until - now if tries else 0.0
        overall = 0.0 if with_link else self._paused_until - now
        return max(own, overall, 0.0)

    def record_wrong(self, client: str) -> bool:
        """Counts a wrong try; True when it locked the client out."""
        now = self._clock()
        tries = self._clients.setdefault(client, _Tries())
        self._clients.move_to_end(client)
        while len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        tries.wrong += 1
        self._overall = [one for one in self._overall if now - one < OVERALL_WINDOW_SECONDS]
        self._overall.append(now)
        if len(self._overall) >= WRONG_OVERALL:
            self._overall.clear()
            self._paused_until = now + self._pause
            self._pause = min(self._pause * 2, MAX_OVERALL_PAUSE_SECONDS)
        if tries.wrong % WRONG_BEFORE_LOCK:
            return False
        # Each further five cost twice as long as the five before.
        doublings = min(tries.wrong // WRONG_BEFORE_LOCK - 1, 6)
        tries.locked_until = now + LOCK_SECONDS * 2**doublings
        return True

    def record_right(self, client: str) -> None:
        """Forgets a client's wrong tries."""
        self._clients.pop(client, None)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, then so many a second."""

    burst: float
    per_second: float


class Buckets:
    """Token buckets, one for each key.

    Args:
        rate: What each key may use.
        clock: Seconds, never going back.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._filled: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        """Uses one; False when nothing is left."""
        now = self._clock()
        tokens, since = self._filled.pop(key, (self._rate.burst, now))
        tokens = min(self._rate.burst, tokens + (now - since) * self._rate.per_second)
        is_allowed = tokens >= 1
        self._filled[key] = (tokens - 1 if is_allowed else tokens, now)
        while len(self._filled) > MAX_CLIENTS:
            self._filled.popitem(last=False)
        return is_allowed


class Open:
    """How many of something each key has open.

    Args:
        most: How many it may have.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()

    def is_full(self, key: str) -> bool:
        """Whether no other may be opened."""
        return self._counts[key] >= self._most

    @contextmanager
    def one(self, key: str) -> Iterator[None]:
        """Holds one open."""
        self._counts[key] += 1
        try:
            yield
        finally:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]

    def open_keys(self) -> frozenset[str]:
        """Who has something open."""
        return frozenset(self._counts)

"""MemoryMonitor samples memory while something runs, and warns once before it is exhausted.

Between two samples memory may rise and fall unseen, so a warning can come too late. What is done
about memory that ran out is for `recovery` to decide.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from medqlora.domain.events import Event, MemorySampled, RunWarned
from medqlora.domain.resources import MemoryStats
from medqlora.models.memory_reading import read_memory, read_memory_in_use

WARN_AT_SHARE = 0.92

_log = logging.getLogger(__name__)


class MemoryMonitor:
    """Reports memory from a thread of its own, between entering and leaving it.

    Args:
        sink: Gets a `MemorySampled` each time, and a `RunWarned` once memory is nearly full.
        interval_seconds: Time between reports.
        warn_at_share: Share of the memory in use, 0 to 1, at which it warns and asks for a
            checkpoint.
    """

    def __init__(
        self,
        sink: Callable[[Event], object],
        *,
        interval_seconds: float = 1.0,
        warn_at_share: float = WARN_AT_SHARE,
    ) -> None:
        self._sink = sink
        self._interval_seconds = interval_seconds
        self._warn_at_share = warn_at_share
        self._has_warned = False
        self._has_card = False
        self._is_card_lost = False
        self._wants_checkpoint = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory-monitor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join(timeout=5)

    @staticmethod
    def sample() -> MemoryStats:
        """Memory at this moment."""
        return read_memory()

    def take_save_request(self) -> bool:
        """Whether a checkpoint should be saved now; True once, after memory crossed the limit."""
        is_wanted = self._wants_checkpoint.is_set()
        self._wants_checkpoint.clear()
        return is_wanted

    def _run(self) -> None:
        while not self._is_over.is_set():
            self._tick()
            self._is_over.wait(self._interval_seconds)
        self._tick()  # what was shorter than the interval is measured as well

    def _tick(self) -> None:
        try:
            stats = read_memory()
            if self._has_card and stats.source != "gpu":
                self._tell_card_lost()
                return  # RAM in the card's curve would be another thing
            self._has_card, self._is_card_lost = stats.source == "gpu", False
            self._sink(
                MemorySampled(
                    source=stats.source,
                    used_gib=stats.used_gib,
                    limit_gib=stats.limit_gib,
                    allocated_gib=stats.allocated_gib,
                    reserved_gib=stats.reserved_gib,
                )
            )
            self._warn_if_nearly_full()
        except Exception as error:
            # A driver that hiccups must not end a training run; the next tick tries again.
            _log.warning("A memory sample failed: %s", type(error).__name__)

    def _tell_card_lost(self) -> None:
        if self._is_card_lost:
            return
        self._is_card_lost = True
        self._sink(
            RunWarned(
                message="The driver of the graphics card does not answer any more, so its memory "
                "cannot be watched.",
                hint="The job goes on as long as the card computes. If it ends, restart the "
                "machine (on Colab: Runtime, Disconnect and delete runtime) and press Resume.",
            )
        )

    def _warn_if_nearly_full(self) -> None:
        share = read_memory_in_use()
        if self._has_warned or share < self._warn_at_share:
            return
        self._has_warned = True
        self._wants_checkpoint.set()
        self._sink(
            RunWarned(
                message=f"Memory is nearly full: {share:.0%} is in use.",
                hint="A training run saves a checkpoint now. If it ends, resume it; to need less, "
                "choose a smaller batch or a shorter longest entry on Configure.",
            )
        )

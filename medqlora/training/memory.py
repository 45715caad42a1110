"""MemoryMonitor samples memory while something runs.

It does not decide whether memory is low; `recovery` does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from medqlora.domain.events import Event, MemorySampled
from medqlora.domain.resources import MemoryStats
from medqlora.models.memory_reading import read_memory

_log = logging.getLogger(__name__)


class MemoryMonitor:
    """Reports memory from a thread of its own, between entering and leaving it.

    Args:
        sink: Gets a `MemorySampled` each time.
        interval_seconds: Time between reports.
    """

    def __init__(self, sink: Callable[[Event], object], *, interval_seconds: float = 1.0) -> None:
        self._sink = sink
        self._interval_seconds = interval_seconds
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

    def _run(self) -> None:
        while not self._is_over.is_set():
            self._tick()
            self._is_over.wait(self._interval_seconds)

    def _tick(self) -> None:
        try:
            stats = read_memory()
            self._sink(
                MemorySampled(
                    source=stats.source,
                    used_gib=stats.used_gib,
                    limit_gib=stats.limit_gib,
                    allocated_gib=stats.allocated_gib,
                    reserved_gib=stats.reserved_gib,
                )
            )
        except Exception as error:
            # A driver that hiccups must not end a training run; the next tick tries again.
            _log.warning("A memory sample failed: %s", type(error).__name__)

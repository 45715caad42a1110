"""Memory that is nearly full is told once, and one checkpoint is asked for."""

from __future__ import annotations

import sys
from types import ModuleType

from medqlora.domain.events import Event, MemorySampled, RunWarned
from medqlora.models import memory_reading
from medqlora.training.memory import MemoryMonitor
from tests.waiting import wait_until


def samples(events: list[Event]) -> int:
    return sum(isinstance(one, MemorySampled) for one in events)


def test_crossing_the_limit_warns_once_and_asks_for_one_checkpoint() -> None:
    events: list[Event] = []
    with MemoryMonitor(events.append, interval_seconds=0.01, warn_at_share=1e-6) as monitor:
        wait_until(lambda: samples(events) >= 4)
    [warning] = [one for one in events if isinstance(one, RunWarned)]
    assert "nearly full" in warning.message
    assert warning.hint
    assert monitor.take_save_request()
    assert not monitor.take_save_request()


def test_below_the_limit_nothing_is_said() -> None:
    events: list[Event] = []
    with MemoryMonitor(events.append, interval_seconds=0.01, warn_at_share=1.1) as monitor:
        wait_until(lambda: samples(events) >= 2)
    assert not any(isinstance(one, RunWarned) for one in events)
    assert not monitor.take_save_request()


def test_what_is_over_before_the_next_sample_is_due_is_measured_at_its_end() -> None:
    events: list[Event] = []
    with MemoryMonitor(events.append, interval_seconds=60):
        wait_until(lambda: samples(events) == 1)
        during = len(events)
    assert samples(events[during:]) == 1


def test_a_library_that_is_just_being_imported_is_no_trouble(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    assert memory_reading._torch_memory() == (0, 0)

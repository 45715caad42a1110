"""Forecast and measured peak stand side by side, and only where they are of the same memory."""

from __future__ import annotations

from medqlora.domain.events import MemoryExpected, MemorySampled, RunStarted
from medqlora.domain.memory_check import MemoryCheck
from tests.ui.snapshots import folded

ON_CARD = MemoryExpected(source="gpu", expected_gib=5.0, num_tokens=800)
IN_RAM = MemoryExpected(source="ram", expected_gib=2.0, num_tokens=800)


def on_card(reserved_gib: float) -> MemorySampled:
    return MemorySampled(source="gpu", used_gib=9.0, limit_gib=15.0, reserved_gib=reserved_gib)


def in_ram(used_gib: float) -> MemorySampled:
    return MemorySampled(source="ram", used_gib=used_gib, limit_gib=15.0)


def check(*events: MemoryExpected | MemorySampled) -> MemoryCheck:
    found = folded([RunStarted(job="train"), *events]).memory_check
    assert found is not None
    return found


def test_on_a_card_what_torch_reserved_since_training_began_is_compared() -> None:
    found = check(on_card(8.0), ON_CARD, on_card(5.25), on_card(5.0))
    assert (found.forecast_gib, found.measured_gib) == (5.0, 5.25)
    assert "5.25 GiB" in found.message
    assert "5.0% more than forecast" in found.message
    assert "2.0% less than forecast" in check(ON_CARD, on_card(4.9)).message


def test_without_a_card_no_difference_is_taken() -> None:
    message = check(IN_RAM, in_ram(1.25)).message
    assert "1.25 GiB of the machine's memory" in message
    assert "not compared" in message
    assert "%" not in message


def test_ram_is_not_compared_with_a_forecast_for_a_card() -> None:
    """The driver may vanish in the middle of a run; then RAM is what is sampled."""
    found = check(ON_CARD, in_ram(1.5))
    assert found.measured_gib == 0
    assert "1.50 GiB of the machine's memory (RAM), which cannot be compared" in found.message
    assert "Nothing was measured" in check(ON_CARD).message


def test_each_attempt_is_measured_against_its_own_forecast() -> None:
    found = check(ON_CARD, on_card(5.9), ON_CARD, on_card(4.5))
    assert found.measured_gib == 4.5


def test_a_run_without_a_forecast_has_nothing_to_compare() -> None:
    assert folded([RunStarted(job="train"), in_ram(1.0)]).memory_check is None

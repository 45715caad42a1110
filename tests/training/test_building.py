"""What is tried before a run, where there is no card to try it on: the card's answers are given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset

from medqlora.domain.events import Event, ParametersAdjusted
from medqlora.training import probe
from medqlora.training.building import ready_trainer

LIMIT_GIB = 10.0


def made(
    monkeypatch: pytest.MonkeyPatch, peaks: dict[int, float | None], *, size: int, steps: int
) -> tuple[SimpleNamespace, list[Event], int]:
    """The arguments at the end, what was told, and how often a trainer was made."""
    rows = Dataset.from_list([{"input_ids": [1] * (length + 1)} for length in range(64)])
    arguments = SimpleNamespace(
        padding_free=False, per_device_train_batch_size=size, gradient_accumulation_steps=steps
    )
    told: list[Event] = []
    trainers: list[Any] = []

    def make() -> Any:
        trainers.append(SimpleNamespace(train_dataset=rows))
        return trainers[-1]

    monkeypatch.setattr(probe, "peak_gib", lambda trainer, tried: peaks[len(tried)])
    ready_trainer(make, arguments, report=told.append, probe_limit_gib=LIMIT_GIB)  # type: ignore[arg-type]
    return arguments, told, len(trainers)


def test_what_fits_is_left_as_it_is(monkeypatch):
    arguments, told, num_made = made(monkeypatch, {32: 9.9}, size=32, steps=2)
    assert (arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps) == (32, 2)
    assert told == []
    assert num_made == 1


def test_the_micro_batch_is_halved_until_it_fits_and_the_entries_a_step_stay(monkeypatch):
    peaks = {32: None, 16: 14.0, 8: 9.0}
    arguments, told, num_made = made(monkeypatch, peaks, size=32, steps=2)
    assert (arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps) == (8, 8)
    assert num_made == 2  # once more, not once for each that was tried
    (adjusted,) = told
    assert isinstance(adjusted, ParametersAdjusted)
    assert [(one.old, one.new) for one in adjusted.adjustments] == [(32, 8), (2, 8)]
    assert (
        "16 longest entries at once: they took 14.0 GiB of 10.0 GiB"
        in adjusted.adjustments[0].reason
    )


def test_one_entry_is_left_to_the_run_itself(monkeypatch):
    arguments, _, _ = made(monkeypatch, {2: None}, size=2, steps=4)
    assert (arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps) == (1, 8)

"""Rank follows from the number of entries and the model's size; alpha from the rank."""

from __future__ import annotations

import pytest

from medqlora.config.lora import LoRAParameterOptimizer
from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.errors import ConfigError


@pytest.mark.parametrize(
    ("billion", "num_train", "rank"),
    [
        (0.135, None, 16),
        (8.0, 40, 8),
        (8.0, 228, 16),
        (8.0, 20_000, 32),
        (8.0, 200_000, 64),
        (0.135, 200_000, 32),
        (70.0, 200_000, 32),
    ],
)
def test_more_entries_get_a_larger_adapter_within_what_the_model_can_use(
    billion: float, num_train: int | None, rank: int
) -> None:
    plan = LoRAParameterOptimizer().suggest(billion, num_train=num_train)
    assert (plan.rank, plan.alpha) == (rank, 2 * rank)
    assert all(one.reason.endswith(".") for one in plan.choices)


def test_the_suggestion_is_a_configuration_that_is_allowed() -> None:
    config = LoRAParameterOptimizer().apply(QLoRAConfig(EMBEDDED_MODEL), 8.0, num_train=90)
    assert (config.rank, config.alpha) == (8, 16)


def test_a_dataset_without_entries_is_refused() -> None:
    with pytest.raises(ConfigError, match="above 0"):
        LoRAParameterOptimizer().suggest(8.0, num_train=0)

"""How a model is stored follows from its size and the card, and every choice says why."""

from __future__ import annotations

import pytest

from medqlora.config.quantization import QuantizationManager, weights_gib
from medqlora.domain.resources import GPUInfo
from medqlora.errors import ConfigError

T4 = GPUInfo(name="Tesla T4", total_gib=14.56, compute_capability=(7, 5))


@pytest.mark.parametrize(
    ("gpu", "billion", "is_double"), [(None, 0.135, True), (T4, 1.24, False), (T4, 8.03, True)]
)
def test_scales_are_stored_small_where_memory_is_short(
    gpu: GPUInfo | None, billion: float, is_double: bool
) -> None:
    plan = QuantizationManager(gpu).choose(billion)
    assert plan.quantization == "nf4"
    assert plan.double_quantization is is_double
    assert [one.name for one in plan.choices] == ["quantization", "double_quantization"]
    assert all(one.reason.endswith(".") for one in plan.choices)


def test_eight_billion_weights_take_about_four_gib() -> None:
    taken = weights_gib(8.03, quantization="nf4", double_quantization=True)
    assert taken == pytest.approx(3.86, abs=0.05)


def test_a_model_that_no_quantisation_makes_fit_is_told() -> None:
    assert QuantizationManager(T4).fits(8.03)
    assert not QuantizationManager(T4).fits(70)


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="above 0"):
        QuantizationManager().choose(0)

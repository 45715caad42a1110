"""How a model is stored follows from its size and the card, and every choice says why."""

from __future__ import annotations

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.config.quantization import QuantizationManager, weights_gib
from medqlora.domain.resources import GPUInfo
from medqlora.errors import ConfigError
from medqlora.models.engine_choice import TrainingMachine, obstacle

T4 = GPUInfo(name="Tesla T4", total_gib=14.56, compute_capability=(7, 5))


@pytest.mark.parametrize(("gpu", "billion"), [(None, 0.135), (T4, 1.24), (T4, 8.03)])
def test_what_is_chosen_is_what_unsloth_takes_and_says_why(
    gpu: GPUInfo | None, billion: float
) -> None:
    manager = QuantizationManager(gpu)
    plan = manager.choose(billion)
    assert [one.name for one in plan.choices] == ["quantization", "double_quantization"]
    assert all(one.reason.endswith(".") for one in plan.choices)
    machine = TrainingMachine(has_unsloth=True, capability=(7, 5))
    assert obstacle(manager.apply(QLoRAConfig(EMBEDDED_MODEL), billion), machine) is None


def test_eight_billion_weights_take_about_four_gib() -> None:
    taken = weights_gib(8.03, quantization="nf4", double_quantization=True)
    assert taken == pytest.approx(3.86, abs=0.05)


def test_a_model_that_no_quantisation_makes_fit_is_told() -> None:
    assert QuantizationManager(T4).fits(8.03)
    assert not QuantizationManager(T4).fits(70)


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="above 0"):
        QuantizationManager().choose(0)

"""Which engine trains, for machines that are not here, and what the user is told about it."""

from __future__ import annotations

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.errors import ModelError
from medqlora.models.engine_choice import TrainingMachine, choose_engine, obstacle, this_machine

CONFIG = QLoRAConfig(EMBEDDED_MODEL)
ASKED = CONFIG.changed(engine="unsloth")
T4 = TrainingMachine(has_unsloth=True, capability=(7, 5))
NO_GPU = TrainingMachine(has_unsloth=True, capability=None)
BARE_T4 = TrainingMachine(has_unsloth=False, capability=(7, 5))
P100 = TrainingMachine(has_unsloth=True, capability=(6, 0))
USED = TrainingMachine(has_unsloth=True, capability=(7, 5), loaded_before=("transformers",))


def test_a_gpu_with_unsloth_trains_with_it() -> None:
    assert obstacle(CONFIG, T4, model_type="llama") is None


@pytest.mark.parametrize(
    ("machine", "changes", "model_type", "reason"),
    [
        (BARE_T4, {}, "llama", "not installed"),
        (P100, {}, "llama", "older"),
        (USED, {}, "llama", "loaded transformers before"),
        (T4, {"quantization": "fp4"}, "llama", "fp4"),
        (T4, {"double_quantization": False}, "llama", "double quantisation"),
        (T4, {"compute_dtype": "float32"}, "llama", "float32"),
        (T4, {}, "gpt2", "no kernels"),
    ],
)
def test_a_gpu_where_unsloth_does_not_fit_falls_back_and_says_why(
    machine: TrainingMachine, changes: dict[str, object], model_type: str, reason: str
) -> None:
    choice = choose_engine(CONFIG.changed(**changes), model_type=model_type, machine=machine)
    assert choice.engine.name == "transformers"
    assert choice.is_fallback
    assert reason in choice.reason


def test_without_a_gpu_transformers_is_no_fallback() -> None:
    choice = choose_engine(CONFIG, machine=NO_GPU)
    assert choice.engine.name == "transformers"
    assert not choice.is_fallback
    assert "no GPU" in choice.reason


def test_whoever_asks_for_unsloth_gets_it_without_a_gpu_and_for_any_kind_of_model() -> None:
    assert obstacle(ASKED, NO_GPU, model_type="gpt2") is None


def test_whoever_asks_for_unsloth_where_it_is_missing_is_told_the_way_out() -> None:
    with pytest.raises(ModelError, match="not installed") as refused:
        choose_engine(ASKED, machine=BARE_T4)
    assert "requirements.txt" in refused.value.hint


def test_whoever_asks_for_unsloth_with_settings_it_cannot_keep_is_told_which() -> None:
    with pytest.raises(ModelError, match="fp4") as refused:
        choose_engine(ASKED.changed(quantization="fp4"), machine=T4)
    assert "auto or transformers" in refused.value.hint


def test_a_process_that_has_transformers_cannot_get_unsloth_any_more() -> None:
    import transformers  # noqa: F401

    assert "transformers" in this_machine().loaded_before

"""Every error has an answer; out of memory gets the mildest change that is left."""

from __future__ import annotations

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.errors import (
    ERRORS_BY_CODE,
    ModelError,
    ModelOutOfMemoryError,
    NonFiniteLossError,
    OutOfMemoryError,
    SessionError,
)
from medqlora.recovery import ErrorRecoveryManager

LOADING = ModelOutOfMemoryError("Memory ran out in loading.", hint="Less.")
MEMORY = OutOfMemoryError("Memory ran out.", hint="Less.")


def test_every_error_of_ours_has_an_action_in_words() -> None:
    for code, error_type in ERRORS_BY_CODE.items():
        extra = {"columns": ()} if code == "mapping_needed" else {}
        error = error_type("It broke.", hint="Mend it.", **extra)
        action = ErrorRecoveryManager().handle_error(error)
        assert action.message, code
        assert action.steps, code
        assert all(step.endswith(".") for step in action.steps), code


def test_memory_errors_lead_down_step_by_step_and_keep_the_effective_batch() -> None:
    config = QLoRAConfig(EMBEDDED_MODEL, rank=16, max_seq_length=600, per_device_train_batch_size=6)
    effective = config.effective_batch_size
    changed = []
    while (action := ErrorRecoveryManager(config).handle_memory_error(MEMORY)).adjustments:
        changed.append([one.name for one in action.adjustments])
        config = config.changed(**{one.name: one.new for one in action.adjustments})
        assert config.effective_batch_size == effective
    batch = ["per_device_train_batch_size", "gradient_accumulation_steps"]
    assert changed == [batch, batch, ["max_seq_length"], ["max_seq_length"], ["rank"]]
    assert action.kind == "give_up"
    assert "smaller model" in action.message


def test_a_model_that_cannot_be_loaded_is_tried_again_and_then_stored_in_fewer_bits() -> None:
    config = QLoRAConfig(EMBEDDED_MODEL, quantization="none", double_quantization=False)
    first = ErrorRecoveryManager(config).handle_error(LOADING)
    assert (first.kind, first.adjustments) == ("retry", ())
    changed = []
    while True:
        action = ErrorRecoveryManager(config, has_reloaded=True).handle_error(LOADING)
        if action.kind == "give_up":
            break
        changed += [(one.name, one.new) for one in action.adjustments]
        config = config.changed(**{one.name: one.new for one in action.adjustments})
    # Neither batch, length nor rank: they make no difference to loading.
    assert changed == [("quantization", "nf4"), ("double_quantization", True)]
    with_one = ErrorRecoveryManager(
        config.changed(quantization="none"), has_checkpoint=True, has_reloaded=True
    )
    assert with_one.handle_error(LOADING).kind == "give_up"


def test_a_loss_that_is_not_a_number_asks_for_smaller_steps() -> None:
    [adjustment] = ErrorRecoveryManager().suggest_parameter_adjustments(
        NonFiniteLossError("NaN.", hint="")
    )
    assert adjustment.name == "learning_rate"
    assert isinstance(adjustment.new, float)
    assert isinstance(adjustment.old, float)
    assert adjustment.new < adjustment.old


def test_a_model_that_does_not_load_gets_an_easier_one() -> None:
    error = ModelError("It does not fit.", hint="")
    config = QLoRAConfig("owner/large", quantization="none")
    [first] = ErrorRecoveryManager(config).suggest_parameter_adjustments(error)
    assert (first.name, first.new) == ("quantization", "nf4")
    config = config.changed(quantization="nf4")
    [second] = ErrorRecoveryManager(config).handle_error(error).adjustments
    assert (second.name, second.new) == ("model_name", EMBEDDED_MODEL)
    config = config.changed(model_name=EMBEDDED_MODEL)
    assert ErrorRecoveryManager(config).suggest_parameter_adjustments(error) == []


@pytest.mark.parametrize("minutes", [0.0, 10.0])
def test_a_lost_session_gets_checkpoints_more_often(minutes: float) -> None:
    error = SessionError("It ended.", hint="")
    config = QLoRAConfig(EMBEDDED_MODEL, save_minutes=minutes)
    [adjustment] = ErrorRecoveryManager(config).suggest_parameter_adjustments(error)
    assert (adjustment.name, adjustment.old) == ("save_minutes", minutes)
    config = config.changed(save_minutes=adjustment.new)
    assert ErrorRecoveryManager(config).suggest_parameter_adjustments(error) == []


def test_a_run_with_a_checkpoint_keeps_its_rank() -> None:
    config = QLoRAConfig(EMBEDDED_MODEL, rank=16, per_device_train_batch_size=1, max_seq_length=256)
    with_one = ErrorRecoveryManager(config, has_checkpoint=True)
    assert with_one.suggest_parameter_adjustments(MEMORY) == []
    [rank] = ErrorRecoveryManager(config).suggest_parameter_adjustments(MEMORY)
    assert rank.name == "rank"


def test_a_lost_session_gets_steps_steps_to_follow() -> None:
    guide = ErrorRecoveryManager().handle_session_disconnect()
    assert len(guide.steps) >= 2
    assert all(step.endswith(".") for step in guide.steps)


@pytest.mark.parametrize("batch", range(1, 17))
def test_halving_an_odd_batch_keeps_the_product(batch: int) -> None:
    config = QLoRAConfig(
        EMBEDDED_MODEL, per_device_train_batch_size=batch, gradient_accumulation_steps=3
    )
    adjustments = ErrorRecoveryManager(config).handle_memory_error(MEMORY).adjustments
    smaller = config.changed(**{one.name: one.new for one in adjustments})
    assert smaller.effective_batch_size == config.effective_batch_size

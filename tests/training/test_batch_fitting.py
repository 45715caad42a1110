"""A batch that does not fit is lowered, and as many entries go into a step as before."""

from __future__ import annotations

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.models.memory_forecast import forecast, typical_shape
from medqlora.training.batch_fitting import expected_tokens, fitted_batch

SHAPE = typical_shape(1.24)


@pytest.mark.parametrize("limit_gib", [3.0, 6.0, 12.0, 20.0])
@pytest.mark.parametrize("batch", [6, 8, 16])
def test_the_largest_batch_that_fits_is_taken(batch: int, limit_gib: float) -> None:
    config = QLoRAConfig(
        EMBEDDED_MODEL, per_device_train_batch_size=batch, gradient_accumulation_steps=2
    )
    adjustments = fitted_batch(config, SHAPE, limit_gib=limit_gib)
    fitted = config.changed(**{one.name: one.new for one in adjustments})
    assert fitted.effective_batch_size == config.effective_batch_size
    assert fitted.per_device_train_batch_size < batch or not adjustments
    if fitted.per_device_train_batch_size > 1:
        assert forecast(SHAPE, fitted).total_gib <= limit_gib
    assert all("GiB" in one.reason for one in adjustments)


def test_a_run_that_fits_is_left_alone() -> None:
    assert fitted_batch(QLoRAConfig(EMBEDDED_MODEL), SHAPE, limit_gib=500) == ()


GPU = QLoRAConfig(
    EMBEDDED_MODEL, per_device_train_batch_size=2, gradient_accumulation_steps=32
).changed(max_seq_length=2048, gradient_checkpointing=True, optim="adamw_8bit")
ROWS = [200 + n % 400 for n in range(1000)]
EIGHT = typical_shape(8.03)


def fitted(limit_gib: float, config: QLoRAConfig = GPU, *, may_raise: bool = True) -> QLoRAConfig:
    changes = fitted_batch(
        config, EIGHT, limit_gib=limit_gib, engine="unsloth", row_tokens=ROWS, may_raise=may_raise
    )
    return config.changed(**{one.name: one.new for one in changes})


def test_on_a_gpu_as_many_at_once_as_fit_and_the_same_number_a_step() -> None:
    for limit_gib in (8.0, 9.0, 11.0, 13.4, 40.0, 72.0, 130.0):
        found = fitted(limit_gib)
        assert found.effective_batch_size == GPU.effective_batch_size
        tokens = expected_tokens(found, ROWS)
        needed = forecast(EIGHT, found, engine="unsloth", num_tokens=tokens).total_gib
        assert needed <= limit_gib
    sizes = [fitted(one).per_device_train_batch_size for one in (8.0, 11.0, 13.4)]
    assert sizes == sorted(sizes)
    assert sizes[-1] >= 32


def test_activations_are_kept_where_the_card_has_room() -> None:
    assert fitted(13.4).gradient_checkpointing
    assert not fitted(72.0).gradient_checkpointing


def test_a_later_attempt_never_takes_more() -> None:
    less = GPU.changed(per_device_train_batch_size=1, gradient_accumulation_steps=64)
    assert fitted(72.0, less, may_raise=False) == less


def test_tokens_of_a_batch_are_at_most_the_longest_rows() -> None:
    config = GPU.changed(per_device_train_batch_size=4)
    assert expected_tokens(config, [100] * 50) == 400
    assert expected_tokens(config, [10] * 49 + [1000]) <= 4000
    assert expected_tokens(config, ()) == 4 * 2048

"""A batch that does not fit is lowered, and as many entries go into a step as before."""

from __future__ import annotations

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.models.memory_forecast import forecast, typical_shape
from medqlora.training.batch_fitting import fitted_batch

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

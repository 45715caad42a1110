"""Lowers the micro-batch before a run that would not fit into memory; the effective batch stays.

The estimate is `models.memory_forecast`'s, an upper bound. What happens when memory runs out all
the same is for `recovery` to decide.
"""

from __future__ import annotations

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.recovery import ParameterAdjustment
from medqlora.models.memory_forecast import ModelShape, forecast

USABLE_SHARE = {"gpu": 0.92, "ram": 0.8}
"""Share of the memory that a run may take: RAM is shared with everything else."""


def fitted_batch(
    config: QLoRAConfig, shape: ModelShape, *, limit_gib: float
) -> tuple[ParameterAdjustment, ...]:
    """Settings to change so that the run fits; empty when it does, or when nothing would help.

    Args:
        config: The settings.
        shape: The model.
        limit_gib: Memory that the run may take. The same on every start of a run, so that a resumed
            run gets the same batches.
    """
    batch, effective = config.per_device_train_batch_size, config.effective_batch_size
    sizes = [size for size in range(batch, 0, -1) if batch % size == 0]
    expected = {
        size: forecast(shape, config.changed(per_device_train_batch_size=size)).total_gib
        for size in sizes
    }
    fitting = next((size for size in sizes if expected[size] <= limit_gib), 1)
    if fitting == batch:
        return ()
    reason = (
        f"{batch} entries at once would take about {expected[batch]:.1f} GiB of the "
        f"{limit_gib:.1f} GiB that may be used; {fitting} take {expected[fitting]:.1f} GiB, and "
        f"more accumulation keeps {effective} entries a step."
    )
    return (
        ParameterAdjustment(
            name="per_device_train_batch_size", old=batch, new=fitting, reason=reason
        ),
        ParameterAdjustment(
            name="gradient_accumulation_steps",
            old=config.gradient_accumulation_steps,
            new=effective // fitting // config.num_processes,
            reason=reason,
        ),
    )

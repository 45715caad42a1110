"""Finds how many entries are computed at once, by the forecast; the entries a step stay.

On a GPU more at once is faster up to a bound, and keeping activations is faster than computing them
twice, so the fastest way that fits is taken. Without a GPU nothing is gained by more at once, and a
batch that would not fit is lowered. `training.probe` tries the choice on real entries; what happens
when memory runs out all the same is for `recovery` to decide.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.recovery import ParameterAdjustment
from medqlora.models.memory_forecast import ModelShape, forecast

USABLE_SHARE = {"gpu": 0.92, "ram": 0.8}
"""Share of the memory that a run may take: RAM is shared with everything else."""

ENOUGH_TOKENS = 16_384
"""Tokens at once beyond which a card gets no faster. On one H200, with the shape of 8 billion and
activations kept, 16 entries at once gave 21.7 samples/s and 32, about 13,000 tokens, gave 24.3
(`tests.benchmarks.training`, 2026-11-22, one run each)."""

FEWEST_KEPT_TOKENS = 2_048
"""Tokens at once from which keeping activations pays; below, a card waits for the next batch."""

_DEVIATIONS = 3.0


def fitted_batch(
    config: QLoRAConfig,
    shape: ModelShape,
    *,
    limit_gib: float,
    engine: str = "cpu",
    row_tokens: Sequence[int] = (),
    may_raise: bool = False,
) -> tuple[ParameterAdjustment, ...]:
    """Settings to change so that the run fits and is fast; empty when there are none.

    Args:
        config: The settings.
        shape: The model.
        limit_gib: Memory that the run may take. The same on every start of a run, so that a resumed
            run gets the same batches.
        engine: What trains, as `memory_forecast.ENGINES` names it.
        row_tokens: Tokens of each entry; when not given, all are as long as allowed.
        may_raise: Whether more entries at once, and keeping activations, may be chosen.
    """
    fitting = _fastest if may_raise and engine != "cpu" else _lowered
    found = fitting(config, shape, limit_gib, engine, row_tokens)
    return _adjustments(config, found, shape, limit_gib, engine, row_tokens)


def expected_tokens(config: QLoRAConfig, row_tokens: Sequence[int]) -> int:
    """Tokens of a large micro-batch of random entries: three deviations above the usual one."""
    size = config.per_device_train_batch_size
    if not row_tokens:
        return size * config.max_seq_length
    usual, spread = statistics.fmean(row_tokens), statistics.pstdev(row_tokens)
    tokens = size * usual + _DEVIATIONS * math.sqrt(size) * spread
    return max(1, round(min(tokens, size * max(row_tokens))))


def _lowered(
    config: QLoRAConfig, shape: ModelShape, limit_gib: float, engine: str, rows: Sequence[int]
) -> QLoRAConfig:
    """The largest micro-batch up to the one that was asked for; 1 where none fits."""
    smaller = [one for one in _resized(config) if _size(one) <= _size(config)]
    fitting = (one for one in smaller if _gib(one, shape, engine, rows) <= limit_gib)
    return next(fitting, smaller[-1])


def _fastest(
    config: QLoRAConfig, shape: ModelShape, limit_gib: float, engine: str, rows: Sequence[int]
) -> QLoRAConfig:
    """Activations kept where that leaves enough tokens at once, else computed twice."""
    sizes = _resized(config)
    for is_checkpointed in (False, True):
        for one in (size.changed(gradient_checkpointing=is_checkpointed) for size in sizes):
            tokens = expected_tokens(one, rows)
            is_enough = is_checkpointed or tokens >= FEWEST_KEPT_TOKENS or one == sizes[0]
            is_too_much = tokens > ENOUGH_TOKENS and _size(one) > 1
            if is_enough and not is_too_much and _gib(one, shape, engine, rows) <= limit_gib:
                return one
    return sizes[-1].changed(gradient_checkpointing=True)


def _resized(config: QLoRAConfig) -> list[QLoRAConfig]:
    """The settings with each micro-batch that divides what a device takes a step, largest first."""
    per_device = config.per_device_train_batch_size * config.gradient_accumulation_steps
    return [
        config.changed(
            per_device_train_batch_size=size, gradient_accumulation_steps=per_device // size
        )
        for size in range(min(per_device, 256), 0, -1)
        if per_device % size == 0 and per_device // size <= 256
    ]


def _size(config: QLoRAConfig) -> int:
    return config.per_device_train_batch_size


def _gib(config: QLoRAConfig, shape: ModelShape, engine: str, rows: Sequence[int]) -> float:
    tokens = expected_tokens(config, rows)
    return forecast(shape, config, engine=engine, num_tokens=tokens).total_gib


def _adjustments(
    config: QLoRAConfig,
    found: QLoRAConfig,
    shape: ModelShape,
    limit_gib: float,
    engine: str,
    rows: Sequence[int],
) -> tuple[ParameterAdjustment, ...]:
    names = (
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
        "gradient_checkpointing",
    )
    before, after = (_gib(one, shape, engine, rows) for one in (config, found))
    reason = (
        f"{_size(found)} entries at once take about {after:.1f} GiB of the {limit_gib:.1f} GiB "
        f"that may be used, {_size(config)} as it was set {before:.1f} GiB; "
        f"{config.effective_batch_size} entries a step as before."
    )
    return tuple(
        ParameterAdjustment(
            name=name, old=getattr(config, name), new=getattr(found, name), reason=reason
        )
        for name in names
        if getattr(config, name) != getattr(found, name)
    )

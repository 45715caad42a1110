"""Chooses whether each process keeps the whole model or a part of it, and says why.

A model that fits one card is faster whole. The rule takes the machine as a value, so that it can be
read and tested without one. How a model is shared out is `models.sharding`'s work.
"""

from __future__ import annotations

from dataclasses import dataclass

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.resources import GPUInfo
from medqlora.models.memory_forecast import ModelShape, forecast

SHORT_ENTRY = 256
"""Tokens of the entries with which a model has to fit at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardingChoice:
    """Whether the model is sharded, with the reason.

    Attributes:
        config: The settings with `shard_weights` decided, `yes` or `no`.
        reason: A sentence for the user; empty where there was nothing to decide.
    """

    config: QLoRAConfig
    reason: str = ""


def choose_sharding(
    config: QLoRAConfig, shape: ModelShape | None, *, gpu: GPUInfo | None, engine: str = "cpu"
) -> ShardingChoice:
    """Whether a run with these settings shares out the model over its processes.

    Args:
        config: The settings.
        shape: The model, or None where its size is not known.
        gpu: The card that each process has, or None without one: processes share the RAM then, and
            only what the settings ask for is done.
        engine: A name of `engine_memory.ENGINES`: what would train the model whole.
    """
    over = f"over {config.num_processes} {'cards' if gpu else 'processes'}"
    if config.is_sharded:
        return ShardingChoice(
            config=config, reason=f"The model is sharded {over}: the settings ask for it."
        )
    whole = config.changed(shard_weights="no")
    is_open = config.shard_weights == "auto" and config.num_processes > 1
    if not is_open or gpu is None or shape is None:
        return ShardingChoice(config=whole)
    needed = smallest_gib(shape, whole, engine=engine)
    if needed <= gpu.total_gib:
        return ShardingChoice(config=whole)
    return ShardingChoice(
        config=config.changed(shard_weights="yes"),
        reason=f"The model is sharded {over}: whole it needs about {needed:.1f} GiB even with a "
        f"batch of one and short entries, and {gpu.name} has {gpu.total_gib:.1f} GiB.",
    )


def smallest_gib(shape: ModelShape, config: QLoRAConfig, *, engine: str = "cpu") -> float:
    """What a run takes on one device at least: a batch of one and short entries."""
    smallest = config.changed(
        per_device_train_batch_size=1,
        max_seq_length=min(config.max_seq_length, SHORT_ENTRY),
        gradient_checkpointing=config.gradient_checkpointing or engine != "cpu",
    )
    return forecast(shape, smallest, engine=engine).total_gib

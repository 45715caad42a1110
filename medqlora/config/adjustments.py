"""Which settings to change so that what failed may succeed: the mildest change that is left.

Pure functions of a run's settings; `recovery` says which one an error asks for. Each returns an
empty list where nothing is left to change.
"""

from __future__ import annotations

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.recovery import ParameterAdjustment

SHORTEST_SEQUENCE = 256
LOWEST_RANK = 8
SHORT_MINUTES = 5.0


def slower(config: QLoRAConfig) -> list[ParameterAdjustment]:
    """A smaller learning rate, for a loss that is no number any more."""
    return [
        ParameterAdjustment(
            name="learning_rate",
            old=config.learning_rate,
            new=max(config.learning_rate / 4, 1e-6),
            reason="A loss that is not a number usually comes from steps that are too large.",
        )
    ]


def more_checkpoints(config: QLoRAConfig) -> list[ParameterAdjustment]:
    """Checkpoints by the clock, for a session that ends by itself."""
    if 0 < config.save_minutes <= SHORT_MINUTES:
        return []
    return [
        ParameterAdjustment(
            name="save_minutes",
            old=config.save_minutes,
            new=SHORT_MINUTES,
            reason="A session that may end without warning then loses less.",
        )
    ]


def easier_model(config: QLoRAConfig) -> list[ParameterAdjustment]:
    """The same model in 4 bits, then the embedded one, for a model that cannot be had."""
    if config.quantization == "none":
        reason = "It takes a quarter of the memory."
        return [_in_4_bits(reason)]
    if config.model_name == EMBEDDED_MODEL:
        return []
    return [
        ParameterAdjustment(
            name="model_name",
            old=config.model_name,
            new=EMBEDDED_MODEL,
            reason="The embedded model needs neither network nor GPU.",
        )
    ]


def lighter_weights(config: QLoRAConfig, *, has_checkpoint: bool) -> list[ParameterAdjustment]:
    """Fewer bits for each weight, for a model that does not fit at all.

    Args:
        config: The settings.
        has_checkpoint: What was learned so far fits these very weights, so that they stay.
    """
    if has_checkpoint:
        return []
    if config.quantization == "none":
        return [_in_4_bits("In 4 bits the model's weights take about a quarter of the memory.")]
    if not config.double_quantization:
        return [
            ParameterAdjustment(
                name="double_quantization",
                old=False,
                new=True,
                reason="Also storing the scales in 8 bits saves 0.4 bits of each weight.",
            )
        ]
    return []


def smaller(config: QLoRAConfig, *, has_checkpoint: bool) -> list[ParameterAdjustment]:
    """Fewer entries at once, then shorter ones, then a lower rank, for a step that does not fit.

    Args:
        config: The settings.
        has_checkpoint: Whether there is something to go on from, which a lower rank would not fit.
    """
    if config.per_device_train_batch_size > 1:
        return _smaller_batch(config)
    if config.max_seq_length > SHORTEST_SEQUENCE:
        return [
            ParameterAdjustment(
                name="max_seq_length",
                old=config.max_seq_length,
                new=max(config.max_seq_length // 2, SHORTEST_SEQUENCE),
                reason=(
                    "Shorter entries need less memory; what is longer is cut, and entries "
                    "without an answer left are left out."
                ),
            )
        ]
    if config.rank > LOWEST_RANK and not has_checkpoint:
        return [
            ParameterAdjustment(
                name="rank",
                old=config.rank,
                new=max(config.rank // 2, LOWEST_RANK),
                reason=(
                    "A lower rank keeps fewer weights and optimizer states; the run begins "
                    "again from its seed."
                ),
            )
        ]
    return []


def _smaller_batch(config: QLoRAConfig) -> list[ParameterAdjustment]:
    batch, accumulation = config.per_device_train_batch_size, config.gradient_accumulation_steps
    fewer = next(size for size in range(batch // 2, 0, -1) if batch % size == 0)
    reason = "Fewer entries at once need less memory; more accumulation keeps the effective batch."
    changes = {
        "per_device_train_batch_size": (batch, fewer),
        "gradient_accumulation_steps": (accumulation, accumulation * (batch // fewer)),
    }
    return [
        ParameterAdjustment(name=name, old=old, new=new, reason=reason)
        for name, (old, new) in changes.items()
    ]


def _in_4_bits(reason: str) -> ParameterAdjustment:
    return ParameterAdjustment(name="quantization", old="none", new="nf4", reason=reason)

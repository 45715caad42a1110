"""Chooses what a model is computed in, where what the settings or the card say would not do.

The rule is a table, and the settings name what the machine does (`QLoRAConfig`).
"""

from __future__ import annotations

from dataclasses import dataclass

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.resources import GPUInfo

FLOAT16_OVERFLOWS = frozenset({"gemma3", "gemma3_text"})
"""`model_type`s of which activations grow beyond 65,504, the largest number of float16."""

REASON = (
    "Computed in float32, which takes more time and memory than 16 bits: inside this model numbers "
    "grow larger than float16 holds, and this card has no bfloat16 or the settings say float16."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeDtypeChoice:
    """What a model is computed in.

    Attributes:
        config: The settings, with `compute_dtype` changed where it has to be.
        reason: A sentence for the user; empty where nothing was changed.
    """

    config: QLoRAConfig
    reason: str = ""


def choose_compute_dtype(
    config: QLoRAConfig, *, model_type: str | None, gpu: GPUInfo | None = None
) -> ComputeDtypeChoice:
    """What the model of `config` is computed in.

    Args:
        config: The settings.
        model_type: `model_type` of the base model's `config.json`, when it is known.
        gpu: The card; what torch finds on this machine when not given.
    """
    if model_type not in FLOAT16_OVERFLOWS or _usual(config, gpu) != "float16":
        return ComputeDtypeChoice(config=config)
    return ComputeDtypeChoice(config=config.changed(compute_dtype="float32"), reason=REASON)


def _usual(config: QLoRAConfig, gpu: GPUInfo | None) -> str:
    if config.compute_dtype != "auto" or gpu is None:
        return config.resolved_compute_dtype()
    return "bfloat16" if gpu.has_bfloat16 else "float16"

"""Starting values that suit a model's size and a machine.

Tables only; `services.configuration` shows the reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medqlora.domain.resources import GPUInfo

if TYPE_CHECKING:
    from medqlora.config.qlora import QLoRAConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SizePreset:
    """What suits models up to a size.

    Attributes:
        up_to_billion: Largest number of parameters, in billions, this is for.
        learning_rate: Peak learning rate.
        num_train_epochs: Passes over the training entries.
        reason: Why, one sentence for the user.
    """

    up_to_billion: float
    learning_rate: float
    num_train_epochs: float
    reason: str


SIZE_PRESETS = (
    SizePreset(
        up_to_billion=0.5,
        learning_rate=1e-3,
        num_train_epochs=1.0,
        reason="Very small models learn with larger steps, and one pass changes their answers.",
    ),
    SizePreset(
        up_to_billion=4.0,
        learning_rate=3e-4,
        num_train_epochs=2.0,
        reason="Models of a few billion parameters stay stable at 3e-4.",
    ),
    SizePreset(
        up_to_billion=1000.0,
        learning_rate=2e-4,
        num_train_epochs=2.0,
        reason="2e-4 is the QLoRA authors' value for 7 to 13 billion parameters.",
    ),
)


def suited_to_size(billion: float) -> SizePreset:
    """The preset for a model of `billion` parameters."""
    return next(one for one in SIZE_PRESETS if billion <= one.up_to_billion)


def card_of_torch() -> GPUInfo | None:
    """The card as torch sees it, or None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    card = torch.cuda.get_device_properties(0)
    return GPUInfo(
        name=card.name,
        total_gib=card.total_memory / 2**30,
        compute_capability=(card.major, card.minor),
    )


def suited_to_card(config: QLoRAConfig, gpu: GPUInfo | None) -> dict[str, Any]:
    """Settings to change so that `config` suits a card; the effective batch size stays.

    Args:
        config: The settings so far.
        gpu: The card, or None for a machine without one, where nothing changes.
    """
    if gpu is None:
        return {}
    micro_batch = 2 if gpu.total_gib < 20 else 4
    batch_per_device = config.effective_batch_size // config.num_processes
    micro_batch = min(micro_batch, batch_per_device)
    while batch_per_device % micro_batch:
        micro_batch -= 1
    return {
        "per_device_train_batch_size": micro_batch,
        "gradient_accumulation_steps": batch_per_device // micro_batch,
        "optim": "adamw_8bit" if gpu.has_four_bits else "adamw_torch",
        "gradient_checkpointing": True,
        "compute_dtype": "bfloat16" if gpu.has_bfloat16 else "float16",
    }

"""Settings to start from: what suits a model's size, the number of cards, and the card."""

from __future__ import annotations

from dataclasses import dataclass

from medqlora.config import presets
from medqlora.config.lora import LoRAParameterOptimizer
from medqlora.config.qlora import QLoRAConfig
from medqlora.config.quantization import QuantizationManager
from medqlora.domain.resources import Choice, GPUInfo
from medqlora.models.compute_dtype import choose_compute_dtype
from medqlora.models.memory_forecast import ModelShape
from medqlora.models.sharding_choice import choose_sharding


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Settings to start from.

    Attributes:
        config: The settings.
        choices: What was chosen and why, for the user to read.
    """

    config: QLoRAConfig
    choices: tuple[Choice, ...]


def suited_to_size(
    config: QLoRAConfig, billion: float, num_train: int | None, *, gpu: GPUInfo | None
) -> Suggestion:
    """What suits a model of so many billion parameters and so many training entries."""
    preset = presets.suited_to_size(billion)
    lora = LoRAParameterOptimizer().suggest(billion, num_train=num_train)
    stored = QuantizationManager(gpu).choose(billion)
    return Suggestion(
        config=config.changed(
            rank=lora.rank,
            alpha=lora.alpha,
            quantization=stored.quantization,
            double_quantization=stored.double_quantization,
            learning_rate=preset.learning_rate,
            num_train_epochs=preset.num_train_epochs,
        ),
        choices=(
            *lora.choices,
            *stored.choices,
            Choice(name="learning_rate", value=f"{preset.learning_rate:g}", reason=preset.reason),
        ),
    )


def suited_to_number(
    config: QLoRAConfig, gpu: GPUInfo, shape: ModelShape, *, engine: str
) -> Suggestion:
    """All cards of the machine for a model that does not fit one; the entries a step stay."""
    several = config.changed(
        num_processes=gpu.count,
        per_device_train_batch_size=max(config.per_device_train_batch_size // gpu.count, 1),
    )
    found = choose_sharding(several, shape, gpu=gpu, engine=engine)
    if not found.config.is_sharded:
        return Suggestion(config=config, choices=())
    return Suggestion(
        config=several,
        choices=(Choice(name="num_processes", value=str(gpu.count), reason=found.reason),),
    )


def suited_to_card(config: QLoRAConfig, gpu: GPUInfo, model_type: str | None) -> Suggestion:
    """What suits a card and how the kind of model has to be computed on it."""
    changes = presets.suited_to_card(config, gpu)
    computed = choose_compute_dtype(config.changed(**changes), model_type=model_type)
    changes["compute_dtype"] = computed.config.compute_dtype
    usual = f"Chosen for {gpu.total_gib:.0f} GiB of {gpu.name}."
    reasons = dict.fromkeys(changes, usual) | {"compute_dtype": computed.reason or usual}
    choices = [Choice(name=one, value=str(changes[one]), reason=reasons[one]) for one in changes]
    return Suggestion(config=computed.config, choices=tuple(choices))

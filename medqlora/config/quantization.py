"""QuantizationManager: how a base model is stored, by its size and the card, with reasons.

nf4 with double quantisation wherever the card can, as Unsloth and the ready 4-bit copies have it.
It does not load or quantise anything: `QLoRAConfig.configure_quantization` turns the choice into
what transformers takes. How much a whole run needs is `models.memory_forecast`'s work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medqlora.domain.resources import Choice, GPUInfo
from medqlora.errors import ConfigError

if TYPE_CHECKING:
    from medqlora.config.qlora import QLoRAConfig

_GIB = 2**30

BITS_PER_WEIGHT = {"nf4": 4.0, "fp4": 4.0, "none": 16.0}
SCALE_BITS = {True: 0.127, False: 0.5}
"""Bits a weight for the scales of blocks of 64, with and without double quantisation.

Source: Dettmers et al. 2023, QLoRA, section 3.
"""

LARGEST_SHARE_OF_CARD = 0.9


_WITH_CARD = (
    "Smaller scales leave more of the card for training, and Unsloth and ready 4-bit copies of "
    "models have them."
)
_WITHOUT_CARD = "Without a GPU the model shares the RAM with everything else."


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationPlan:
    """How a base model is stored.

    Attributes:
        quantization: `nf4`, `fp4` or `none`, as `QLoRAConfig` takes it.
        double_quantization: Whether the scales are stored in 8 bits too.
        weights_gib: What the stored weights take.
        choices: What was chosen and why, for the user to read.
    """

    quantization: str
    double_quantization: bool
    weights_gib: float
    choices: tuple[Choice, ...]


class QuantizationManager:
    """Chooses the quantisation.

    Args:
        gpu: The card, or None for a machine without one.
    """

    def __init__(self, gpu: GPUInfo | None = None) -> None:
        self._gpu = gpu

    def choose(self, billion_parameters: float) -> QuantizationPlan:
        """How a model of that many billion parameters is stored on this machine.

        Raises:
            ConfigError: The size is not a positive number.
        """
        if not billion_parameters > 0:
            raise ConfigError(
                f"billion_parameters must be above 0, got {billion_parameters}.",
                hint="Give the model's size in billions, such as 8 for Llama 3.1 8B.",
            )
        if self._gpu and not self._gpu.has_four_bits:
            return _whole(self._gpu, billion_parameters)
        taken = weights_gib(billion_parameters, quantization="nf4", double_quantization=True)
        return QuantizationPlan(
            quantization="nf4",
            double_quantization=True,
            weights_gib=taken,
            choices=(
                Choice(
                    name="quantization",
                    value="nf4",
                    reason=f"{billion_parameters:.3g} billion weights take {taken:.1f} GiB in 4 "
                    f"bits instead of {_full_gib(billion_parameters):.1f} GiB; nf4 suits the way "
                    "that weights are distributed.",
                ),
                Choice(
                    name="double_quantization",
                    value="on",
                    reason=_WITH_CARD if self._gpu else _WITHOUT_CARD,
                ),
            ),
        )

    def apply(self, config: QLoRAConfig, billion_parameters: float) -> QLoRAConfig:
        """A copy of `config` with what `choose` says."""
        plan = self.choose(billion_parameters)
        return config.changed(
            quantization=plan.quantization, double_quantization=plan.double_quantization
        )

    def fits(self, billion_parameters: float) -> bool:
        """Whether the 4-bit weights alone fit the card; True without one."""
        if self._gpu is None:
            return True
        taken = self.choose(billion_parameters).weights_gib
        return taken <= LARGEST_SHARE_OF_CARD * self._gpu.total_gib


def weights_gib(
    billion_parameters: float, *, quantization: str, double_quantization: bool
) -> float:
    """GiB that stored weights take, every weight quantised.

    Args:
        billion_parameters: Size in billions of parameters.
        quantization: `nf4`, `fp4` or `none`.
        double_quantization: Whether the scales are stored in 8 bits too.
    """
    bits = BITS_PER_WEIGHT[quantization]
    if quantization != "none":
        bits += SCALE_BITS[double_quantization]
    return billion_parameters * 1e9 * bits / 8 / _GIB


def _whole(gpu: GPUInfo, billion_parameters: float) -> QuantizationPlan:
    return QuantizationPlan(
        quantization="none",
        double_quantization=False,
        weights_gib=_full_gib(billion_parameters),
        choices=(
            Choice(
                name="quantization",
                value="none",
                reason=f"{gpu.name} is too old for 4 bits, so only small models fit.",
            ),
        ),
    )


def _full_gib(billion_parameters: float) -> float:
    return weights_gib(billion_parameters, quantization="none", double_quantization=False)

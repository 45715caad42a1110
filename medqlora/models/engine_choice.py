"""Chooses the engine: which library trains a run on this machine, and why that one.

The rules are a table and the machine is a value, so that they can be read and tested without a GPU.
Unsloth is imported only here and only once it is chosen, because importing it changes transformers,
PEFT and TRL for the whole process. Nothing here loads a model.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass

from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import ModelError
from medqlora.models.engine import ModelEngine
from medqlora.models.language_part import PICTURE_MODULES

CHOOSE_HINT = "Choose the engine auto or transformers on Configure."
INSTALL_HINT = (
    f"{CHOOSE_HINT} Or install it: start the app without --no-install on a machine with a GPU, or "
    "run pip install --no-deps with the two unsloth lines of requirements.txt."
)
PATCHED_BY_UNSLOTH = ("transformers", "trl", "peft")
OLDEST_CARD = (7, 0)
"""Compute capability from which Unsloth's kernels run, as its documentation says."""

KERNEL_MODEL_TYPES = frozenset({"gemma", "gemma2", "llama", "mistral", "qwen2", "qwen3"})
"""`model_type`s that Unsloth 2026.10.9 has training kernels for (`unsloth/models/loader.py`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """An engine with the reason why it was chosen.

    Attributes:
        engine: The engine.
        reason: A sentence for the user.
        is_fallback: A GPU is there, but the faster engine cannot be used.
    """

    engine: ModelEngine
    reason: str
    is_fallback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingMachine:
    """What the choice depends on.

    Attributes:
        has_unsloth: Whether both of Unsloth's packages are installed.
        capability: Compute capability of the card that torch uses, or None without one.
        loaded_before: Libraries that are in this process already and that Unsloth would have to
            change before they are.
    """

    has_unsloth: bool
    capability: tuple[int, int] | None
    loaded_before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    config: QLoRAConfig
    machine: TrainingMachine
    model_type: str | None


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why Unsloth is not taken; a strict one holds although the user asked for it."""

    applies: Callable[[_Case], bool]
    reason: str
    is_strict: bool = True


_OBSTACLES = (
    _Obstacle(lambda case: not case.machine.has_unsloth, "Unsloth is not installed"),
    _Obstacle(
        lambda case: case.machine.capability is None,
        "there is no GPU, and without one Unsloth is no faster",
        is_strict=False,
    ),
    _Obstacle(
        lambda case: (case.machine.capability or OLDEST_CARD) < OLDEST_CARD,
        "the card is older than Unsloth's kernels need (compute capability 7.0)",
    ),
    _Obstacle(
        lambda case: bool(case.machine.loaded_before),
        "this process has loaded transformers before, which Unsloth would have to change first",
    ),
    _Obstacle(
        lambda case: case.config.quantization == "fp4",
        "Unsloth stores a base model as nf4 or not quantised, and fp4 is set",
    ),
    _Obstacle(
        lambda case: case.config.quantization == "nf4" and not case.config.double_quantization,
        "Unsloth always uses double quantisation, and it is switched off",
    ),
    _Obstacle(
        lambda case: case.machine.capability is not None and case.config.compute_dtype == "float32",
        "Unsloth's kernels compute in 16 bits, and float32 is set",
    ),
    _Obstacle(
        lambda case: case.config.is_sharded,
        "Unsloth keeps the whole model on every GPU, and this one is shared out over them",
    ),
    _Obstacle(
        lambda case: case.model_type in PICTURE_MODULES,
        "this model also reads pictures, and only transformers trains its language part alone",
    ),
    _Obstacle(
        lambda case: case.model_type is not None and case.model_type not in KERNEL_MODEL_TYPES,
        "Unsloth has no kernels of its own for a model of this type",
        is_strict=False,
    ),
)


def this_machine() -> TrainingMachine:
    """The machine and the process as they are now."""
    import torch

    has_cuda = torch.cuda.is_available()
    is_patched = "unsloth" in sys.modules
    return TrainingMachine(
        has_unsloth=all(importlib.util.find_spec(one) for one in ("unsloth", "unsloth_zoo")),
        capability=torch.cuda.get_device_capability() if has_cuda else None,
        loaded_before=()
        if is_patched
        else tuple(name for name in PATCHED_BY_UNSLOTH if name in sys.modules),
    )


def obstacle(
    config: QLoRAConfig, machine: TrainingMachine, *, model_type: str | None = None
) -> str | None:
    """Why Unsloth cannot or should not train `config` on `machine`, or None.

    Args:
        config: The settings; when they ask for Unsloth, only what makes it impossible counts.
        machine: Where it would train.
        model_type: `model_type` of the base model's `config.json`, when it is known.
    """
    case = _Case(config, machine, model_type)
    return next(
        (
            one.reason
            for one in _OBSTACLES
            if (one.is_strict or config.engine == "auto") and one.applies(case)
        ),
        None,
    )


def choose_engine(
    config: QLoRAConfig,
    *,
    model_type: str | None = None,
    machine: TrainingMachine | None = None,
) -> EngineChoice:
    """The engine that trains `config` here, with its reason.

    Args:
        config: The settings.
        model_type: `model_type` of the base model's `config.json`, when it is known.
        machine: The machine to choose for; this one when not given.

    Raises:
        ModelError: The settings ask for Unsloth and it cannot be used.
    """
    if config.engine == "transformers":
        return EngineChoice(engine=_transformers(), reason="The settings ask for transformers.")
    machine = machine or this_machine()
    in_the_way = obstacle(config, machine, model_type=model_type)
    if in_the_way is None:
        return _unsloth(config)
    if config.engine == "unsloth":
        raise ModelError(
            f"Unsloth cannot train this: {in_the_way}.",
            hint=CHOOSE_HINT if machine.has_unsloth else INSTALL_HINT,
        )
    return EngineChoice(
        engine=_transformers(),
        reason=f"Training with transformers: {in_the_way}.",
        is_fallback=machine.capability is not None,
    )


def asking_engine() -> ModelEngine:
    """The engine that asks models, whichever trained them: transformers.

    Unsloth's fast decoding on a GPU reads the adapter's weights past PEFT, so that one adapter acts
    on every row of a batch; base and fine-tuned side by side need PEFT's own way. Adapters are in
    PEFT's format either way.
    """
    return _transformers()


def _transformers() -> ModelEngine:
    from medqlora.models.transformers_engine import TransformersEngine

    return TransformersEngine()


def _unsloth(config: QLoRAConfig) -> EngineChoice:
    try:
        from medqlora.models.unsloth_engine import UnslothEngine
    except (ImportError, RuntimeError) as error:
        if config.engine == "unsloth":
            raise ModelError(
                f"Unsloth is installed but does not start here ({type(error).__name__}).",
                hint=CHOOSE_HINT,
            ) from error
        return EngineChoice(
            engine=_transformers(),
            reason="Training with transformers: Unsloth is installed but does not start here "
            f"({type(error).__name__}).",
            is_fallback=True,
        )
    asked = config.engine == "unsloth"
    reason = "the settings ask for it" if asked else "it is faster on this card"
    return EngineChoice(engine=UnslothEngine(), reason=f"Training with Unsloth: {reason}.")

"""MemoryOutlook: whether settings fit a card, and the nearest ones that do.

Cards are a table, so that a run can be planned for one that is not here. How much is needed is
`memory_forecast`'s.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.config.setting import settings_of
from medqlora.domain.resources import GPUInfo
from medqlora.errors import ConfigError
from medqlora.models.compute_dtype import choose_compute_dtype
from medqlora.models.engine_choice import TrainingMachine, obstacle
from medqlora.models.memory_forecast import MemoryForecast, ModelShape, forecast
from medqlora.models.sharding_choice import choose_sharding

CARDS = {
    "T4": GPUInfo(name="Tesla T4", total_gib=14.56, compute_capability=(7, 5)),
    "L4": GPUInfo(name="NVIDIA L4", total_gib=22.16, compute_capability=(8, 9)),
    "A100-40": GPUInfo(name="NVIDIA A100 40GB", total_gib=39.39, compute_capability=(8, 0)),
    "A100-80": GPUInfo(name="NVIDIA A100 80GB", total_gib=79.15, compute_capability=(8, 0)),
    "H100": GPUInfo(name="NVIDIA H100", total_gib=79.1, compute_capability=(9, 0)),
}
"""Cards by the names that people call them, with the memory that a program can use."""

DEFAULT_MODELS = {
    "T4": "unsloth/Llama-3.2-3B-Instruct",
    "L4": "unsloth/Meta-Llama-3.1-8B-Instruct",
    "A100-40": "unsloth/phi-4",
    "A100-80": "unsloth/phi-4",
    "H100": "unsloth/phi-4",
}
"""The model to begin with on each card: one that leaves room for long entries."""

_SMALLEST_USUAL = QLoRAConfig(EMBEDDED_MODEL).changed(
    per_device_train_batch_size=1, max_seq_length=512, gradient_checkpointing=True
)
"""The settings with which a model has to fit a card to be recommended for it."""

_SAME_SIZE_SHARE = 0.97
"""Cards of one name differ by a little in the memory that their drivers leave."""

COMFORTABLE_SHARE, TIGHT_SHARE = 0.92, 1.0
"""Share of the memory up to which a run fits, and up to which it may just fit."""

SHORTEST_LENGTH = 256

Verdict = Literal["fits", "tight", "does not fit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOutlook:
    """What a run with some settings takes on a machine.

    Attributes:
        forecast: What it takes, every entry as long as allowed.
        engine: What would train it; `cpu` without a GPU.
        place: Card, or RAM.
        available_gib: Memory there is.
        verdict: Whether it fits.
        nearest: Settings to change so that it fits, by name; empty where it fits or nothing helps.
        sharding: Why the model is shared out over several devices, each of which takes this;
            empty where it is not.
    """

    forecast: MemoryForecast
    engine: str
    place: str
    available_gib: float
    verdict: Verdict
    nearest: dict[str, Any]
    sharding: str = ""

    @property
    def message(self) -> str:
        """A sentence for the user."""
        on_each = " on each" if self.sharding else ""
        sentence = (
            f"Memory{on_each}: about {self.forecast.total_gib:.1f} of {self.available_gib:.1f} GiB "
            f"({self.place}), so it {_VERDICTS[self.verdict]}."
        )
        if self.sharding:
            sentence = f"{self.sharding} {sentence}"
        if self.nearest:
            known = settings_of(QLoRAConfig)
            changes = ", ".join(
                f"{known[name].label} {'on' if value is True else value}"
                for name, value in self.nearest.items()
            )
            return f"{sentence} It fits with {changes}."
        if self.verdict == "does not fit":
            return f"{sentence} Choose a smaller model."
        return sentence


_VERDICTS = {"fits": "fits", "tight": "fits only just", "does not fit": "does not fit"}


def card(name: str) -> GPUInfo:
    """A card of the table.

    Raises:
        ConfigError: There is none of that name.
    """
    found = {key.lower(): one for key, one in CARDS.items()}.get(name.lower())
    if found is None:
        raise ConfigError(f"No card {name!r} is known.", hint=f"Known are {', '.join(CARDS)}.")
    return found


def smallest_card(shape: ModelShape, *, model_type: str | None = None) -> str | None:
    """The smallest known card on which a model trains with entries of 512 tokens, or None."""
    fitting = (
        name
        for name, gpu in sorted(CARDS.items(), key=lambda item: item[1].total_gib)
        if outlook(shape, _SMALLEST_USUAL, gpu=gpu, ram_gib=0.0, model_type=model_type).verdict
        == "fits"
    )
    return next(fitting, None)


def default_model(gpu: GPUInfo | None) -> str:
    """The model to begin with on a card, which may be an unknown one; the embedded without any."""
    if gpu is None:
        return EMBEDDED_MODEL
    smaller = [
        (one.total_gib, DEFAULT_MODELS[name])
        for name, one in CARDS.items()
        if one.total_gib * _SAME_SIZE_SHARE <= gpu.total_gib
    ]
    return max(smaller)[1] if smaller else EMBEDDED_MODEL


def outlook(
    shape: ModelShape,
    config: QLoRAConfig,
    *,
    gpu: GPUInfo | None,
    ram_gib: float,
    model_type: str | None = None,
) -> MemoryOutlook:
    """What a run takes and whether it fits.

    Args:
        shape: The model.
        config: The settings.
        gpu: The card, or None for a machine without one.
        ram_gib: RAM that is free, for a machine without a card.
        model_type: `model_type` of the model's `config.json`, when it is known.
    """
    sharding = choose_sharding(
        config,
        shape,
        gpu=gpu,
        engine=_engine(config.changed(shard_weights="no"), gpu, model_type),
    )
    config = sharding.config
    if gpu:
        config = choose_compute_dtype(config, model_type=model_type, gpu=gpu).config
    engine = _engine(config, gpu, model_type)
    available = gpu.total_gib if gpu else ram_gib
    expected = forecast(shape, config, engine=engine)
    verdict = _verdict(expected.total_gib, available)
    fitting: dict[str, Any] = {}
    if verdict != "fits":
        for smaller in _smaller(config):
            needed = forecast(shape, smaller, engine=engine).total_gib
            if _verdict(needed, available) == "fits":
                fitting = _changes(config, smaller)
                break
    return MemoryOutlook(
        forecast=expected,
        engine=engine,
        place=gpu.name if gpu else "RAM",
        available_gib=available,
        verdict=verdict,
        nearest=fitting,
        sharding=sharding.reason,
    )


def _engine(config: QLoRAConfig, gpu: GPUInfo | None, model_type: str | None) -> str:
    if gpu is None:
        return "cpu"
    # A card that is only named counts as one on which everything is installed.
    is_installed = gpu in CARDS.values() or importlib.util.find_spec("unsloth") is not None
    machine = TrainingMachine(has_unsloth=is_installed, capability=gpu.compute_capability)
    if config.engine == "transformers" or obstacle(config, machine, model_type=model_type):
        return "transformers"
    return "unsloth"


def _verdict(needed_gib: float, available_gib: float) -> Verdict:
    share = needed_gib / available_gib
    if share <= COMFORTABLE_SHARE:
        return "fits"
    return "tight" if share <= TIGHT_SHARE else "does not fit"


def _smaller(config: QLoRAConfig) -> Iterator[QLoRAConfig]:
    """Settings that need less and less: what costs time before what costs quality."""
    config = config.changed(gradient_checkpointing=True)
    yield config
    batch, steps = config.per_device_train_batch_size, config.gradient_accumulation_steps
    most = settings_of(QLoRAConfig)["gradient_accumulation_steps"].maximum or steps
    for part in range(2, batch + 1):
        if batch % part == 0 and part * steps <= most:  # the entries of a step stay
            config = config.changed(
                per_device_train_batch_size=batch // part, gradient_accumulation_steps=part * steps
            )
            yield config
    while config.max_seq_length >= 2 * SHORTEST_LENGTH:
        config = config.changed(max_seq_length=config.max_seq_length // 2)
        yield config
    while config.rank > 8:
        config = config.changed(rank=config.rank // 2, alpha=max(config.alpha // 2, 1))
        yield config


def _changes(config: QLoRAConfig, other: QLoRAConfig) -> dict[str, Any]:
    before, after = config.to_dict(), other.to_dict()
    return {name: value for name, value in after.items() if value != before[name]}

"""ModelCompatibilityChecker: whether a model can be trained here, said before it is loaded.

It reads configuration files only, never weights, and so cannot see damaged ones. Memory is a
simple estimate (`models.memory_forecast`). Whether an adapter fits is judged by the base model's
name that stands beside it, not by shapes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.resources import FOUR_BITS_FROM, GPUInfo
from medqlora.errors import ModelError, PersistenceError
from medqlora.models import catalog, embedded, on_disk
from medqlora.models.description import described, not_causal, without_template
from medqlora.models.engine_memory import ENGINES
from medqlora.models.memory_forecast import ModelShape, forecast, shape_of
from medqlora.models.memory_reading import detect_gpu, driver_trouble
from medqlora.models.sharding_choice import choose_sharding, smallest_gib

_GIB = 2**30
_LARGEST_SHARD_GIB = 5.0

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_METADATA = "metadata.json"
RUN_RECORD = "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatibilityReport:
    """What checking found.

    Attributes:
        name: What was checked.
        is_compatible: Whether it can be used here.
        problems: Why not, plain sentences.
        remarks: What else to know.
        needed_gib: Memory that the smallest run would take, None where it cannot be told.
        available_gib: Memory there is for it.
        alternatives: Models of the catalogue that fit, the largest first.
        way_out: What to do in place of choosing one of these; empty where that is all.
        is_anywhere: Whether some machine could use it; else the model itself is the problem.
    """

    name: str
    is_compatible: bool
    problems: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    needed_gib: float | None = None
    available_gib: float | None = None
    alternatives: tuple[str, ...] = ()
    way_out: str = ""
    is_anywhere: bool = True

    def require(self) -> None:
        """Goes on only with a model that can be used.

        Raises:
            ModelError: It cannot be.
        """
        if self.is_compatible:
            return
        others = " or ".join(self.alternatives[:2])
        hint = f"Choose {others} instead." if others else "Use a machine with more memory."
        raise ModelError(" ".join(self.problems), hint=self.way_out or hint)


class ModelCompatibilityChecker:
    """Checks models and adapters against this machine.

    Args:
        gpu: The card; looked for when neither this nor `available_ram_gib` is given.
        available_ram_gib: RAM that is free, measured when not given.
    """

    def __init__(
        self, *, gpu: GPUInfo | None = None, available_ram_gib: float | None = None
    ) -> None:
        self._gpu = detect_gpu() if gpu is None and available_ram_gib is None else gpu
        self._ram_gib = (
            psutil.virtual_memory().available / _GIB
            if available_ram_gib is None
            else available_ram_gib
        )

    def check(
        self,
        model: str | Path | Mapping[str, Any],
        *,
        config: QLoRAConfig | None = None,
        name: str = "",
    ) -> CompatibilityReport:
        """Whether a model can be trained on this machine.

        Args:
            model: Its `config.json` as a mapping, a folder, or a name of the catalogue; of a hub id
                that is neither, nothing can be told before it is fetched.
            config: The settings; the defaults when not given.
            name: What the user calls it, where the folder does not say.
        """
        found, about, folder = described(model)
        name = name or found
        settings = config or QLoRAConfig(EMBEDDED_MODEL)
        if self._is_too_old(settings):
            return self._too_old(name, settings)
        problems = not_causal(name, about) if about is not None else []
        problems = problems or without_template(name, folder)
        is_anywhere = not problems
        remarks = []
        shape = shape_of(about) if about is not None else _catalogued(name)
        needed = available = None
        if shape is None:
            remarks.append(f"How much memory {name} needs cannot be told before it is loaded.")
        else:
            needed, available = self._needed(shape, settings), self._available()
            problems += self._too_large(name, shape, settings, needed)
        return CompatibilityReport(
            name=name,
            is_compatible=not problems,
            problems=tuple(problems),
            remarks=tuple(remarks),
            needed_gib=needed,
            available_gib=available,
            alternatives=self.alternatives(settings, without=name) if problems else (),
            is_anywhere=is_anywhere,
        )

    def alternatives(self, config: QLoRAConfig, *, without: str = "") -> tuple[str, ...]:
        """Models of the catalogue that fit this machine, the largest first."""
        fitting = [
            one
            for one in catalog.CATALOG
            if one.name != without
            and not one.is_pickled  # nobody is led to pickles who did not ask for them
            and (self._gpu is not None or not one.needs_gpu)
            and self._needed(one.shape, config) <= self._available()
        ]
        return tuple(
            one.name for one in sorted(fitting, key=lambda o: o.billion_parameters, reverse=True)
        )

    def verify_compatibility(self, adapter_path: str, base_model: str) -> bool:
        """Whether the adapter in that folder belongs to `base_model`.

        Raises:
            PersistenceError: The folder holds no adapter.
        """
        return self.compatibility_report(adapter_path, base_model).is_compatible

    def compatibility_report(self, adapter_path: str, base_model: str) -> CompatibilityReport:
        """Whether an adapter belongs to a base model, and why not.

        Raises:
            PersistenceError: The folder holds no adapter.
        """
        return compatibility_report(adapter_path, base_model)

    def _is_too_old(self, config: QLoRAConfig) -> bool:
        has_no_four_bits = self._gpu is not None and not self._gpu.has_four_bits
        return has_no_four_bits and config.quantization != "none"

    def _too_old(self, name: str, config: QLoRAConfig) -> CompatibilityReport:
        """What is wrong with 4 bits on this card, whatever the model."""
        whole = config.changed(quantization="none")
        fitting = self.alternatives(whole)
        chosen = name if name in fitting else fitting[0] if fitting else EMBEDDED_MODEL
        card = f"{self._gpu.name} ({_version(self._gpu)})" if self._gpu else ""
        return CompatibilityReport(
            name=name,
            is_compatible=False,
            problems=(
                f"{card} cannot hold a model in 4 bits: that needs a card of compute capability "
                f"{'.'.join(map(str, FOUR_BITS_FROM))} or newer.",
            ),
            alternatives=fitting,
            way_out=f"Set Quantisation to none and choose {chosen}, or use a newer card.",
        )

    def _needed(self, shape: ModelShape, config: QLoRAConfig) -> float:
        # Entries may be far shorter than the longest allowed: refuse only what cannot fit at all.
        return smallest_gib(shape, self._decided(shape, config))

    def _decided(self, shape: ModelShape, config: QLoRAConfig) -> QLoRAConfig:
        return choose_sharding(config, shape, gpu=self._gpu).config

    def _available(self) -> float:
        return self._gpu.total_gib if self._gpu else self._ram_gib

    def _too_large(
        self, name: str, shape: ModelShape, config: QLoRAConfig, needed: float
    ) -> list[str]:
        size = f"{name} ({shape.billion_parameters:.2g} billion parameters)"
        if needed > self._available():
            what = f"GPU memory of {self._gpu.name}" if self._gpu else "free memory (RAM)"
            return [
                f"{size} needs about {needed:.1f} GiB even with a batch of one and short "
                f"entries, and this machine has {self._available():.1f} GiB of {what}."
                f"{self._with_more_cards(shape, config)}{self._trouble()}"
            ]
        in_passing = ENGINES["cpu"].libraries_gib + _passing_gib(
            shape, self._decided(shape, config)
        )
        if self._gpu and in_passing > self._ram_gib:
            return [
                f"Loading {size} needs about {in_passing:.1f} GiB of RAM, and {self._ram_gib:.1f} "
                "GiB are free."
            ]
        return []

    def _trouble(self) -> str:
        trouble = "" if self._gpu else driver_trouble()
        return f" {trouble}" if trouble else ""

    def _with_more_cards(self, shape: ModelShape, config: QLoRAConfig) -> str:
        if self._gpu is None or self._gpu.count <= config.num_processes:
            return ""
        several = config.changed(num_processes=self._gpu.count, shard_weights="auto")
        if self._needed(shape, several) > self._available():
            return ""
        return f" Sharded over its {self._gpu.count} GPUs (num_processes) it would fit."


def _version(gpu: GPUInfo) -> str:
    return f"compute capability {'.'.join(map(str, gpu.compute_capability))}"


def compatibility_report(adapter_path: str, base_model: str) -> CompatibilityReport:
    """See `ModelCompatibilityChecker.compatibility_report`; needs no look at the machine."""
    trained_on = _base_of(Path(adapter_path))
    fits = trained_on == base_model
    return CompatibilityReport(
        name=Path(adapter_path).name,
        is_compatible=fits,
        problems=()
        if fits
        else (f"This adapter was trained on {trained_on} and does not fit {base_model}.",),
        alternatives=() if fits else (trained_on,),
    )


def smaller_models(config: QLoRAConfig, *, models_dir: Path) -> tuple[str, ...]:
    """Models of the catalogue that need less than the one of `config` and fit, the largest first.

    Args:
        config: The settings.
        models_dir: Where the models of the workspace lie.
    """
    checker = ModelCompatibilityChecker()
    folder = on_disk.folder_of(models_dir, config.model_name)
    shape = shape_of(described(folder)[1] or {}) if folder else _catalogued(config.model_name)
    smaller = checker.alternatives(config, without=config.model_name)
    if shape is None:
        return smaller
    sizes = {one.name: one.billion_parameters for one in catalog.CATALOG}
    return tuple(one for one in smaller if sizes[one] < shape.billion_parameters)


def _passing_gib(shape: ModelShape, config: QLoRAConfig) -> float:
    """RAM that weights take on their way to the card."""
    if config.is_sharded:  # whole, already quantised
        whole = config.changed(shard_weights="no")
        return forecast(shape, whole, engine="transformers").weights_gib
    return min(2 * shape.billion_parameters, _LARGEST_SHARD_GIB)  # one file at a time


def _catalogued(name: str) -> ModelShape | None:
    entry = catalog.entry_for(name)
    return entry.shape if entry else None


def _base_of(adapter: Path) -> str:
    """Name of the base model that an adapter was trained on."""
    try:
        about = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        metadata = adapter / ADAPTER_METADATA
        if metadata.is_file():
            return str(json.loads(metadata.read_text(encoding="utf-8"))["model_name"])
        record = adapter.parent.parent / RUN_RECORD
        if record.is_file():  # a checkpoint: its run knows the base by name, PEFT only by folder
            return str(json.loads(record.read_text(encoding="utf-8"))["config"]["model_name"])
        base = str(about["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PersistenceError(
            f"{adapter.name} holds no adapter that can be read.",
            hint="Choose the adapter folder of a finished run.",
        ) from error
    return EMBEDDED_MODEL if Path(base).name == embedded.FOLDER_NAME else base

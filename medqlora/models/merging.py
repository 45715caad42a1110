"""Merging: an adapter added into the 16-bit weights of its base model, one file at a time.

What comes of it needs neither PEFT nor this app. PEFT's own merging holds the whole model, which a
free notebook has no memory for; here memory holds one file of the weights. The sums are PEFT's:
alpha over rank (over its root with rsLoRA) times B A, in float32, then back to the weights' type.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from medqlora.errors import DiskFullError, ModelError, PersistenceError
from medqlora.models.language_part import module_name
from medqlora.persistence.adapters import CARD, CONFIG, WEIGHTS
from medqlora.persistence.atomic import sync_folder, translated_os_errors
from medqlora.persistence.foreign_adapter import ForeignAdapter, read_config

if TYPE_CHECKING:
    import torch

_TEXTS: Final = (".json", ".txt", ".jinja", ".model", ".md")
_PREFIX: Final = "base_model.model."
_GIB: Final = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedModel:
    """A model on the disk that an adapter was merged into.

    Attributes:
        path: Its folder: safetensors, description, tokenizer and chat template.
        num_layers: Weights that were changed.
        size_bytes: All of its files.
    """

    path: Path
    num_layers: int
    size_bytes: int


def merge(
    adapter: Path, base: Path, target: Path, *, on_progress: Callable[[str, float], None]
) -> MergedModel:
    """Writes `base` with `adapter` merged into it as a new folder.

    Args:
        adapter: An adapter folder with PEFT's two files.
        base: The base model's folder with its own 16-bit (or 32-bit) weights.
        target: The new folder; it appears once it is whole.
        on_progress: Told what is being done and how far it is, 0 to 1.

    Raises:
        ModelError: The base model has no such weights, they are not the adapter's, or memory is
            short of its largest file.
        PersistenceError: Something is there already.
        DiskFullError: There is no space for the model.
    """
    shards = _shards(base)
    if target.exists():
        raise PersistenceError(
            f"{target.name} is there already.", hint="Choose another folder, or delete that one."
        )
    with translated_os_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        _require_room(shards, target.parent)
        deltas = _Deltas(adapter)
        staging = Path(tempfile.mkdtemp(prefix=".merged-", dir=target.parent))
        try:
            for index, shard in enumerate(shards):
                on_progress(f"Merging {shard.name}", index / len(shards))
                _merge_file(shard, deltas, staging / shard.name)
            deltas.require_used()
            _copy_texts(base, adapter, staging)
            staging.chmod(0o755)
            staging.rename(target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return MergedModel(
        path=target,
        num_layers=deltas.num_layers,
        size_bytes=sum(file.stat().st_size for file in target.iterdir()),
    )


class _Deltas:
    """What an adapter adds to each weight, by the weight's name in the base model."""

    def __init__(self, adapter: Path) -> None:
        from safetensors import safe_open

        self._about: ForeignAdapter = read_config(adapter / CONFIG)
        with safe_open(adapter / WEIGHTS, framework="pt") as file:
            self._weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        places = {name.rpartition(".lora_")[0] for name in self._weights}
        self._left = {f"{place.removeprefix(_PREFIX)}.weight": place for place in places}
        self.num_layers = len(places)

    def added(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """The weight that the file calls `name` with the adapter's part, in the type it had."""
        place = self._left.pop(module_name(name), None)
        if place is None:
            return weight
        about = self._about
        scale = about.alpha / (math.sqrt(about.rank) if about.use_rslora else about.rank)
        first = self._weights.pop(f"{place}.lora_A.weight").float()
        second = self._weights.pop(f"{place}.lora_B.weight").float()
        if weight.shape != (len(second), first.shape[1]) or not weight.is_floating_point():
            raise _other_base()
        merged: torch.Tensor = (weight.float() + scale * (second @ first)).to(weight.dtype)
        if not bool(merged.isfinite().all()):
            raise ModelError(
                "A merged weight is larger than the base model's number format can hold.",
                hint="Use the adapter beside the base model, as Compare does.",
            )
        return merged

    def require_used(self) -> None:
        """Refuses a base model that lacks a layer of the adapter."""
        if self._left or self._weights:
            raise _other_base()


def _merge_file(shard: Path, deltas: _Deltas, target: Path) -> None:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file

    try:
        with safe_open(shard, framework="pt") as file:
            about = file.metadata()
            names = list(file.keys())
            merged = {name: deltas.added(name, file.get_tensor(name)) for name in names}
    except SafetensorError as error:
        raise ModelError(
            f"The base model's file {shard.name} is damaged.",
            hint="Delete it and fetch the model again.",
        ) from error
    save_file(merged, target, metadata=about or {"format": "pt"})


def _shards(base: Path) -> list[Path]:
    described = json.loads((base / "config.json").read_text(encoding="utf-8"))
    shards = sorted(base.glob("*.safetensors"))
    if described.get("quantization_config") or not shards:
        raise ModelError(
            "An adapter can only be merged into the base model's own weights in 16 bits, as "
            "safetensors, and these files are not.",
            hint="Put such files of the model into the workspace's folder models, or use the "
            "adapter beside the base model.",
        )
    return shards


def _require_room(shards: list[Path], place: Path) -> None:
    sizes = [shard.stat().st_size for shard in shards]
    if sum(sizes) > shutil.disk_usage(place).free:
        raise DiskFullError(
            f"The merged model takes {sum(sizes) / _GIB:.1f} GiB, and the disk has less.",
            hint="Free some space, or choose a folder on a larger disk.",
        )
    if 1.5 * max(sizes) > psutil.virtual_memory().available:
        raise ModelError(
            f"Merging needs {1.5 * max(sizes) / _GIB:.1f} GiB of memory (RAM) for one file of "
            "the weights, and less is free.",
            hint="Close other programs, chats and notebooks, then try again.",
        )


def _texts(folder: Path) -> Iterator[Path]:
    return (one for one in folder.iterdir() if one.is_file() and one.suffix in _TEXTS)


def _copy_texts(base: Path, adapter: Path, target: Path) -> None:
    """Description, tokenizer, licence and the like; the model card is the adapter's."""
    for file in _texts(base):
        shutil.copyfile(file, target / file.name)
    (target / CARD).unlink(missing_ok=True)
    if (adapter / CARD).is_file():
        shutil.copyfile(adapter / CARD, target / CARD)


def _other_base() -> ModelError:
    return ModelError(
        "The adapter's layers are not those of this base model.",
        hint="Use the base model that the adapter was trained on.",
    )

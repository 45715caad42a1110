"""The tiny model as models were published before safetensors: one pickled file, or several."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ONE, INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
PARTS = tuple(f"pytorch_model-{part:05}-of-00002.bin" for part in (1, 2))


def weights_of(tiny_model: Path) -> dict[str, Any]:
    """Its tensors by name."""
    from safetensors.torch import load_file

    return load_file(tiny_model / "model.safetensors")


def pickled(value: Any) -> bytes:
    """What `torch.save` writes."""
    import torch

    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def described(tiny_model: Path, *, without: str = "model.safetensors") -> dict[str, bytes]:
    """Its other files."""
    return {
        one.name: one.read_bytes()
        for one in tiny_model.iterdir()
        if one.name not in ("model.safetensors", without)
    }


def in_one_file(tiny_model: Path) -> dict[str, bytes]:
    """The model with its weights in one file."""
    return {**described(tiny_model), ONE: pickled(weights_of(tiny_model))}


def in_parts(tiny_model: Path) -> dict[str, bytes]:
    """The model with its weights in two files and a list of them."""
    weights = weights_of(tiny_model)
    weight_map = {name: PARTS[number % 2] for number, name in enumerate(weights)}
    return {
        **described(tiny_model),
        **{part: pickled(_of(weights, weight_map, part)) for part in PARTS},
        INDEX: json.dumps({"metadata": {}, "weight_map": weight_map}).encode(),
    }


def _of(weights: Mapping[str, Any], weight_map: Mapping[str, str], part: str) -> dict[str, Any]:
    return {name: one for name, one in weights.items() if weight_map[name] == part}

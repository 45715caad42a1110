"""What a foreign adapter says: its configuration and its weights, checked without loading either.

The configuration is read by a list of allowed keys, and written anew from the few that matter. The
weights are read as safetensors by hand: names, shapes against the base model, and every number.
Nothing here imports torch, PEFT or transformers, and nothing is deserialised but JSON.
"""

from __future__ import annotations

import json
import math
import mmap
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from medqlora.config.qlora import TARGET_MODULES
from medqlora.errors import ModelError
from medqlora.models.language_part import (
    OUTSIDE_LANGUAGE,
    layers_name,
    reads_pictures,
    text_part,
)
from medqlora.persistence.archive import WAY_OUT

MAX_HEADER_BYTES: Final = 4_000_000
MIN_RANK, MAX_RANK = 4, 128
_CHUNK_NUMBERS: Final = 4_000_000

_OFF: Final[tuple[Any, ...]] = (None, False, {}, [], "")
# Keys that may stand in the file without meaning anything, with the values that PEFT writes when
# they are not used. A key in neither table is refused: that is how code gets loaded.
_INERT: Final[Mapping[str, tuple[Any, ...]]] = {
    **dict.fromkeys(
        (
            *("alora_invocation_tokens", "alpha_pattern", "arrow_config", "auto_mapping"),
            *("corda_config", "ensure_weight_tying", "eva_config"),
            *("fan_in_fan_out", "kasa_config", "layer_replication", "layers_pattern"),
            *("layers_to_transform", "loftq_config", "lora_bias", "lora_ga_config"),
            *("megatron_config", "modules_to_save", "monteclora_config", "rank_pattern"),
            *("target_parameters", "trainable_token_indices", "use_bdlora"),
            *("use_dora", "use_qalora", "velora_config"),
        ),
        _OFF,
    ),
    "exclude_modules": (*_OFF, OUTSIDE_LANGUAGE),  # the one pattern that is known to end
    "megatron_core": (None, "megatron.core"),
    "qalora_group_size": (None, 16),
    "bias": ("none",),
    "peft_type": ("LORA",),
    "task_type": ("CAUSAL_LM",),
    "init_lora_weights": (None, True, False),
    "inference_mode": (True, False),
}
_READ: Final = ("base_model_name_or_path", "r", "lora_alpha", "lora_dropout", "target_modules")
_ALSO: Final = ("use_rslora", "peft_version", "revision")
_COMMIT = re.compile(r"[0-9a-f]{40}")

_DTYPES: Final = {"F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True, slots=True)
class ForeignAdapter:
    """What an adapter's configuration asks for.

    Attributes:
        base_model: The name of the base model as it stands there; a claim.
        rank: LoRA rank.
        alpha: LoRA alpha.
        dropout: LoRA dropout.
        target_modules: Adapted layers, in the order of `TARGET_MODULES`.
        use_rslora: Whether the scale is alpha over the root of the rank.
        revision: The base model's commit on the hub, a claim too; empty when none is named.
    """

    base_model: str
    rank: int
    alpha: int
    dropout: float
    target_modules: tuple[str, ...]
    use_rslora: bool
    revision: str

    def to_peft(self, base_model: str, base: Mapping[str, Any]) -> dict[str, Any]:
        """PEFT's own configuration with nothing else in it.

        Args:
            base_model: Name of the base model.
            base: The base model's own `config.json`.
        """
        return {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base_model,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": list(self.target_modules),
            **({"exclude_modules": OUTSIDE_LANGUAGE} if reads_pictures(base) else {}),
            "use_rslora": self.use_rslora,
            "bias": "none",
            "inference_mode": True,
        }


def read_config(file: Path) -> ForeignAdapter:
    """The configuration of an adapter.

    Raises:
        ModelError: It has a key or value that is not plain LoRA.
    """
    config = _json(file.read_bytes(), "adapter_config.json")
    for key, value in config.items():
        if key in _READ or key in _ALSO:
            continue
        if key not in _INERT:
            raise _refusal("adapter_config.json has a setting that this app does not take.")
        if not any(type(value) is type(one) and value == one for one in _INERT[key]):
            raise _refusal(f"adapter_config.json uses {key}, which this app does not take.")
    modules = config.get("target_modules")
    # A text would be taken as a pattern, and patterns can be made that never end.
    if (
        not isinstance(modules, list)
        or not modules
        or not set(map(str, modules)) <= set(TARGET_MODULES)
    ):
        raise _refusal("adapter_config.json has to list its layers by their names.")
    return ForeignAdapter(
        base_model=_text(config.get("base_model_name_or_path")),
        rank=_whole(config.get("r"), MIN_RANK, MAX_RANK, "rank"),
        alpha=_whole(config.get("lora_alpha"), 1, 1024, "alpha"),
        dropout=_share(config.get("lora_dropout", 0.0)),
        target_modules=tuple(one for one in TARGET_MODULES if one in modules),
        use_rslora=config.get("use_rslora") is True,
        revision=_commit(config.get("revision")),
    )


def check_weights(file: Path, adapter: ForeignAdapter, base: Mapping[str, Any]) -> None:
    """Refuses weights that are not those of `adapter` on the base model, or not numbers.

    Args:
        file: A safetensors file.
        adapter: What the configuration says.
        base: The base model's own `config.json`.

    Raises:
        ModelError: They are not.
    """
    size = file.stat().st_size
    if size < 8:
        raise _refusal("The weights are not a safetensors file.")
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        length = int.from_bytes(data[:8], "little")
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise _refusal("The weights are not a safetensors file.")
        header = _json(data[8 : 8 + length], "the weights' header")
        header.pop("__metadata__", None)
        expected = _expected(adapter, base)
        if set(header) != set(expected):
            raise _refusal("The adapter's layers are not those of the base model.")
        at = 0
        for name, about in sorted(header.items(), key=lambda one: _begin(one[1])):
            at = _check_tensor(about, expected[name], at)
        if 8 + length + at != size:
            raise _refusal("The weights' file is shorter or longer than it says.")
        for about in header.values():
            start, end = (8 + length + offset for offset in about["data_offsets"])
            _check_numbers(data, start, end, about["dtype"])


def _expected(adapter: ForeignAdapter, base: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Name and shape of every tensor that the adapter has to have."""
    try:
        text = text_part(base)
        hidden, inner = int(text["hidden_size"]), int(text["intermediate_size"])
        layers, heads = int(text["num_hidden_layers"]), int(text["num_attention_heads"])
        head = int(text.get("head_dim") or hidden // heads)
        pairs = int(text.get("num_key_value_heads") or heads)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _refusal("The base model's shape is not known here.") from error
    sizes = {
        "q_proj": (hidden, heads * head),
        "k_proj": (hidden, pairs * head),
        "v_proj": (hidden, pairs * head),
        "o_proj": (heads * head, hidden),
        "gate_proj": (hidden, inner),
        "up_proj": (hidden, inner),
        "down_proj": (inner, hidden),
    }
    expected = {}
    for layer in range(layers):
        for module in adapter.target_modules:
            block = "self_attn" if module in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
            place = f"base_model.model.{layers_name(base)}.layers.{layer}.{block}.{module}"
            inputs, outputs = sizes[module]
            expected[f"{place}.lora_A.weight"] = (adapter.rank, inputs)
            expected[f"{place}.lora_B.weight"] = (outputs, adapter.rank)
    return expected


def _begin(about: Any) -> int:
    offsets = about.get("data_offsets") if isinstance(about, dict) else None
    if not isinstance(offsets, list) or [type(one) for one in offsets] != [int, int]:
        raise _refusal("The weights' header is damaged.")
    return int(offsets[0])


def _check_tensor(about: dict[str, Any], shape: tuple[int, int], at: int) -> int:
    """Where the next tensor has to begin."""
    if about.get("shape") != list(shape) or about.get("dtype") not in _DTYPES:
        raise _refusal("The adapter's shapes are not those of the base model and the rank.")
    begin, end = about["data_offsets"]
    if begin != at or end - begin != math.prod(shape) * _DTYPES[about["dtype"]]:
        raise _refusal("The weights' header is damaged.")
    return int(end)


def _check_numbers(data: mmap.mmap, start: int, end: int, dtype: str) -> None:
    step = _CHUNK_NUMBERS * _DTYPES[dtype]
    for at in range(start, end, step):
        chunk = data[at : min(end, at + step)]
        if dtype == "BF16":  # infinite and not a number: all bits of the exponent
            is_finite = bool(((np.frombuffer(chunk, "<u2") & 0x7F80) != 0x7F80).all())
        else:
            is_finite = bool(np.isfinite(np.frombuffer(chunk, f"<f{_DTYPES[dtype]}")).all())
        if not is_finite:
            raise _refusal("The adapter has weights that are not numbers.")


def _json(text: bytes, what: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("a key stands there twice")
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise _refusal(f"{what} is not plain JSON.") from error
    if not isinstance(value, dict):
        raise _refusal(f"{what} is not plain JSON.")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > 300 or not value.isprintable():
        raise _refusal("adapter_config.json does not name its base model, or oddly.")
    return value


def _commit(value: Any) -> str:
    """A commit, or nothing: a branch means whatever its owner publishes next."""
    return _text(value) if value and _COMMIT.fullmatch(_text(value)) else ""


def _whole(value: Any, least: int, most: int, name: str) -> int:
    is_whole = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_whole or value != int(value) or not least <= value <= most:
        raise _refusal(f"The adapter's {name} has to be a whole number from {least} to {most}.")
    return int(value)


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 0.5:
        raise _refusal("The adapter's dropout has to be between 0 and 0.5.")
    return float(value)


def _refusal(message: str) -> ModelError:
    return ModelError(message, hint=WAY_OUT)

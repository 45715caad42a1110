"""How much memory a run will take, estimated from the model's shape and the settings.

A simple estimate so far: an upper bound that takes every entry to be as long as `max_seq_length`,
from formulas and not from measurements. It knows decoder-only transformers, not engines: Unsloth
needs less than it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medqlora.config.qlora import QLoRAConfig
from medqlora.config.quantization import weights_gib

_GIB = 2**30

ACTIVATION_BYTES = 34
"""Bytes a token, layer and hidden unit in 16 bits without the attention scores, which modern
attention does not keep. Source: Korthikanti et al. 2022, Reducing Activation Recomputation."""

CHECKPOINTED_BYTES = 2
"""The same where only each layer's input is kept."""

LOGIT_BYTES = 10
"""Bytes a token and vocabulary entry: 16 bits, their float32 copy, and its gradient."""

TRAINED_BYTES = {"adamw_torch": 16, "adamw_8bit": 10, "paged_adamw_8bit": 10}
"""Bytes an adapter weight: float32 weight and gradient, and the optimizer's state."""

LIBRARIES_GIB = 1.0
"""torch with its libraries in RAM, or a CUDA context on the card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """What of a model decides about memory.

    Attributes:
        hidden_size: Width.
        num_layers: Layers.
        vocab_size: Tokens it knows.
        layer_parameters: Weights of all layers together, which are quantised.
        embedding_parameters: Weights of the embeddings and the output layer, which are not.
    """

    hidden_size: int
    num_layers: int
    vocab_size: int
    layer_parameters: float
    embedding_parameters: float

    @property
    def billion_parameters(self) -> float:
        """Size in billions of parameters."""
        return (self.layer_parameters + self.embedding_parameters) / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryForecast:
    """What a run is expected to take, in GiB.

    Attributes:
        weights_gib: The base model's weights.
        adapter_gib: The adapter, its gradients and the optimizer's state.
        activations_gib: What is kept for the backward pass; grows with the micro-batch.
        overhead_gib: Libraries.
    """

    weights_gib: float
    adapter_gib: float
    activations_gib: float
    overhead_gib: float = LIBRARIES_GIB

    @property
    def total_gib(self) -> float:
        """All of it."""
        return self.weights_gib + self.adapter_gib + self.activations_gib + self.overhead_gib


_TYPICAL: tuple[tuple[float, int, int], ...] = (
    (0.5, 576, 30),
    (2.0, 2048, 16),
    (5.0, 3072, 28),
    (10.0, 4096, 32),
    (20.0, 5120, 40),
    (100.0, 8192, 80),
    (float("inf"), 16384, 126),
)
"""Largest size in billions, width and layers of models about that size."""

_TYPICAL_VOCABULARY = 128_256


def shape_of(config: Mapping[str, Any]) -> ModelShape | None:
    """The shape that a model's `config.json` describes, or None where it says too little."""
    text = config.get("text_config", config)
    try:
        hidden, layers = int(text["hidden_size"]), int(text["num_hidden_layers"])
        vocabulary, heads = int(text["vocab_size"]), int(text["num_attention_heads"])
        head_size = int(text.get("head_dim") or hidden // heads)
        key_heads = int(text.get("num_key_value_heads") or heads)
        inner = int(text.get("intermediate_size") or 4 * hidden)
        experts = int(text.get("num_local_experts") or text.get("num_experts") or 1)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError):
        return None
    attention = 2 * hidden * head_size * (heads + key_heads)
    is_tied = text.get("tie_word_embeddings", config.get("tie_word_embeddings", False))
    return ModelShape(
        hidden_size=hidden,
        num_layers=layers,
        vocab_size=vocabulary,
        layer_parameters=layers * (attention + 3 * hidden * inner * experts),
        embedding_parameters=vocabulary * hidden * (1 if is_tied else 2),
    )


def typical_shape(billion_parameters: float) -> ModelShape:
    """The usual shape of a model of that size, for one whose `config.json` is not here yet."""
    hidden, layers = next((h, n) for up_to, h, n in _TYPICAL if billion_parameters <= up_to)
    embeddings = min(_TYPICAL_VOCABULARY * hidden, billion_parameters * 1e9 / 2)
    return ModelShape(
        hidden_size=hidden,
        num_layers=layers,
        vocab_size=_TYPICAL_VOCABULARY,
        layer_parameters=billion_parameters * 1e9 - embeddings,
        embedding_parameters=embeddings,
    )


def forecast(shape: ModelShape, config: QLoRAConfig) -> MemoryForecast:
    """What a run with these settings is expected to take at its peak, in GiB."""
    layers = weights_gib(
        shape.layer_parameters / 1e9,
        quantization=config.quantization,
        double_quantization=config.double_quantization,
    )
    tokens = config.per_device_train_batch_size * config.max_seq_length
    # Each adapted matrix gets two thin ones; on average about 2.5 widths in and out.
    adapter = config.rank * 5 * shape.hidden_size * len(config.target_modules) * shape.num_layers
    return MemoryForecast(
        weights_gib=layers + 2 * shape.embedding_parameters / _GIB,
        adapter_gib=adapter * TRAINED_BYTES[config.optim] / _GIB,
        activations_gib=tokens * _bytes_per_token(shape, config) / _GIB,
    )


def _bytes_per_token(shape: ModelShape, config: QLoRAConfig) -> float:
    width = 2 if config.compute_dtype == "float32" else 1
    if config.gradient_checkpointing:
        kept = shape.num_layers * CHECKPOINTED_BYTES + ACTIVATION_BYTES
    else:
        kept = shape.num_layers * ACTIVATION_BYTES
    return width * kept * shape.hidden_size + LOGIT_BYTES * shape.vocab_size

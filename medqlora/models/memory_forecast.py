"""How much memory a run will take, forecast from the model's shape and the settings.

Weights and adapter are counted. What a step takes beside them is linear in the tokens of a
micro-batch, with constants for each engine that were fitted to measured peaks (`engine_memory`). It
reads sizes from a model's `config.json` and needs no weights. It knows decoder-only transformers;
of mixtures of experts it counts the weights, and takes one expert's width for a token. What a
sharded model takes follows from the parts and was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medqlora.config.qlora import QLoRAConfig
from medqlora.config.quantization import weights_gib
from medqlora.models.engine_memory import ENGINES, EngineMemory
from medqlora.models.language_part import picture_parameters, text_part

_GIB = 2**30

TRAINED_BYTES = {"adamw_torch": 18, "adamw_8bit": 12, "paged_adamw_8bit": 12}
"""Bytes an adapter weight: float32 weight and gradient, the optimizer's state, and 2 for the copy
in 16 bits that a step computes with."""

_LOADED_GIB = 0.03
_STEP_GIB = 0.1
_UNUSED_SHARE, _UNUSED_GIB, _UNUSED_GIB_PER_1024, _MOST_UNUSED_GIB = 0.05, 0.06, 0.06, 0.6
"""What torch holds on the card beyond what is in use: a share of the weights, and more with more
tokens up to a bound. Fitted with the engines' constants."""

WHOLE_LAYERS = 2
"""Layers of a sharded model that are whole at a time: the one at work, and the next, fetched
meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """What of a model decides about memory.

    Attributes:
        hidden_size: Width.
        inner_size: Width of the feed-forward part.
        query_size: Width of all queries together.
        key_size: Width of all keys together.
        num_layers: Layers.
        vocab_size: Tokens it knows.
        layer_parameters: Weights of all layers together, which are quantised.
        embedding_parameters: Weights of the embeddings and the output layer, which are not.
        picture_parameters: Weights that read pictures; they are fetched, and let go once loaded.
    """

    hidden_size: int
    inner_size: int
    query_size: int
    key_size: int
    num_layers: int
    vocab_size: int
    layer_parameters: float
    embedding_parameters: float
    picture_parameters: float = 0.0

    @classmethod
    def of(
        cls,
        hidden_size: int,
        inner_size: int,
        num_layers: int,
        heads: tuple[int, int, int],
        vocab_size: int,
        *,
        tied: bool,
        num_experts: int = 1,
        pictures: float = 0.0,
    ) -> ModelShape:
        """A shape with its weights counted.

        Args:
            hidden_size: Width.
            inner_size: Width of the feed-forward part, or of one expert of it.
            num_layers: Layers.
            heads: Heads of queries, heads of keys, and the width of each.
            vocab_size: Tokens it knows.
            tied: Whether embeddings and output layer are one matrix.
            num_experts: Feed-forward parts a layer.
            pictures: Weights that read pictures.
        """
        query_heads, key_heads, head_size = heads
        attention = 2 * hidden_size * head_size * (query_heads + key_heads)
        inner = 3 * hidden_size * inner_size * num_experts
        return cls(
            hidden_size=hidden_size,
            inner_size=inner_size,
            query_size=query_heads * head_size,
            key_size=key_heads * head_size,
            num_layers=num_layers,
            vocab_size=vocab_size,
            layer_parameters=num_layers * (attention + inner),
            embedding_parameters=vocab_size * hidden_size * (1 if tied else 2),
            picture_parameters=pictures,
        )

    @property
    def billion_parameters(self) -> float:
        """Size in billions of parameters."""
        text = self.layer_parameters + self.embedding_parameters
        return (text + self.picture_parameters) / 1e9

    def adapter_parameters(self, config: QLoRAConfig) -> int:
        """Weights of the adapter that the settings ask for."""
        ends = {
            "q_proj": self.hidden_size + self.query_size,
            "k_proj": self.hidden_size + self.key_size,
            "v_proj": self.hidden_size + self.key_size,
            "o_proj": self.hidden_size + self.query_size,
            "gate_proj": self.hidden_size + self.inner_size,
            "up_proj": self.hidden_size + self.inner_size,
            "down_proj": self.hidden_size + self.inner_size,
        }
        widths = sum(ends.get(one, 2 * self.hidden_size) for one in config.target_modules)
        return config.rank * self.num_layers * widths


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryForecast:
    """What a run is expected to take, in GiB.

    Attributes:
        weights_gib: The base model's weights.
        adapter_gib: The adapter with its gradients.
        optimizer_gib: The optimizer's state.
        activations_gib: What is kept for the backward pass; grows with the micro-batch.
        logits_gib: The output layer while the loss is computed.
        unused_gib: What torch holds on a card without using it.
        overhead_gib: Libraries, or the driver's context.
    """

    weights_gib: float
    adapter_gib: float
    optimizer_gib: float
    activations_gib: float
    logits_gib: float
    unused_gib: float
    overhead_gib: float

    @property
    def peak_gib(self) -> float:
        """The largest that torch reserves."""
        state = self.weights_gib + self.adapter_gib + self.optimizer_gib
        return state + self.activations_gib + self.logits_gib + self.unused_gib

    @property
    def total_gib(self) -> float:
        """All of it."""
        return self.peak_gib + self.overhead_gib


_TYPICAL: tuple[tuple[float, int, int, int], ...] = (
    (0.5, 576, 30, 1536),
    (2.0, 2048, 16, 8192),
    (5.0, 3072, 28, 8192),
    (10.0, 4096, 32, 14336),
    (20.0, 5120, 40, 17408),
    (100.0, 8192, 80, 28672),
    (float("inf"), 16384, 126, 53248),
)
"""Largest size in billions, width, layers and feed-forward width of models about that size."""

_TYPICAL_VOCABULARY = 128_256
_LARGEST_TIED = 5.0
"""Size in billions up to which embeddings and output layer are usually one matrix."""


def shape_of(config: Mapping[str, Any]) -> ModelShape | None:
    """The shape that a model's `config.json` describes, or None where it says too little."""
    try:
        text = text_part(config)
        hidden, layers = int(text["hidden_size"]), int(text["num_hidden_layers"])
        vocabulary, heads = int(text["vocab_size"]), int(text["num_attention_heads"])
        head_size = int(text.get("head_dim") or hidden // heads)
        key_heads = int(text.get("num_key_value_heads") or heads)
        inner = int(text.get("intermediate_size") or 4 * hidden)
        experts = int(text.get("num_local_experts") or text.get("num_experts") or 1)
        pictures = picture_parameters(config)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError):
        return None
    return ModelShape.of(
        hidden,
        inner,
        layers,
        (heads, key_heads, head_size),
        vocabulary,
        tied=text.get("tie_word_embeddings", config.get("tie_word_embeddings", False)),
        num_experts=experts,
        pictures=pictures,
    )


def typical_shape(billion_parameters: float) -> ModelShape:
    """The usual shape of a model of that size, for one whose `config.json` is out of reach."""
    hidden, layers, inner = next(row[1:] for row in _TYPICAL if billion_parameters <= row[0])
    num_matrices = 1 if billion_parameters <= _LARGEST_TIED else 2
    embeddings = min(num_matrices * _TYPICAL_VOCABULARY * hidden, billion_parameters * 1e9 / 2)
    return ModelShape(
        hidden_size=hidden,
        inner_size=inner,
        query_size=hidden,
        key_size=hidden // 4,
        num_layers=layers,
        vocab_size=_TYPICAL_VOCABULARY,
        layer_parameters=billion_parameters * 1e9 - embeddings,
        embedding_parameters=embeddings,
    )


def forecast(
    shape: ModelShape, config: QLoRAConfig, *, engine: str = "cpu", num_tokens: int | None = None
) -> MemoryForecast:
    """What a run with these settings is expected to take at its peak, in GiB.

    Args:
        shape: The model.
        config: The settings.
        engine: A name of `ENGINES`: what trains on a GPU, or `cpu`.
        num_tokens: Tokens of the largest micro-batch; when not given, every entry counts as the
            longest that is allowed.
    """
    about = ENGINES[engine]
    layers = _layers_gib(shape, config)
    embeddings = about.embedding_bytes * shape.embedding_parameters / _GIB
    tokens = num_tokens or config.per_device_train_batch_size * config.max_seq_length
    adapter = shape.adapter_parameters(config) / _GIB
    weights = layers + embeddings + (_LOADED_GIB if engine != "cpu" else 0.0)
    activations = tokens * _bytes_per_token(shape, config, about) / _GIB
    if about.is_base_shared and config.gradient_checkpointing:
        activations = max(activations + _STEP_GIB, about.base_gib)
    else:
        activations += about.base_gib
    head = about.logit_bytes * tokens + about.head_hidden * shape.hidden_size
    return MemoryForecast(
        weights_gib=weights,
        adapter_gib=8 * adapter,
        optimizer_gib=(TRAINED_BYTES[config.optim] - 8) * adapter,
        activations_gib=activations,
        logits_gib=head * shape.vocab_size / _GIB,
        unused_gib=_unused_gib(layers + embeddings, tokens) if engine != "cpu" else 0.0,
        overhead_gib=about.libraries_gib,
    )


def _layers_gib(shape: ModelShape, config: QLoRAConfig) -> float:
    """The layers on one device; of a sharded model its part, and the layers at work whole."""
    whole = weights_gib(
        shape.layer_parameters / 1e9,
        quantization=config.quantization,
        double_quantization=config.double_quantization,
    )
    if not config.is_sharded:
        return whole
    at_work = min(WHOLE_LAYERS / shape.num_layers, 1.0)
    return whole * (1 / config.num_processes + at_work)


def _bytes_per_token(shape: ModelShape, config: QLoRAConfig, about: EngineMemory) -> float:
    width = 2 if config.compute_dtype == "float32" else 1
    if config.gradient_checkpointing:
        stored = shape.num_layers * about.checkpoint_hidden + about.recomputed_hidden
        kept = stored * shape.hidden_size + about.recomputed_inner * shape.inner_size
    else:
        of_layer = about.kept_hidden * shape.hidden_size + about.kept_inner * shape.inner_size
        kept = shape.num_layers * of_layer
    return width * kept


def _unused_gib(weights: float, tokens: int) -> float:
    grown = _UNUSED_GIB + _UNUSED_GIB_PER_1024 * tokens / 1024
    return _UNUSED_SHARE * weights + min(grown, _MOST_UNUSED_GIB)

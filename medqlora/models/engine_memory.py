"""What a training step takes beside weights and adapter, for each engine: measured constants.

The programs that measured are `tests.benchmarks.memory` and `tests.benchmarks.training`; the
formula is `memory_forecast`'s.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMemory:
    """What a training step takes beside weights and adapter.

    Attributes:
        embedding_bytes: Bytes a weight of the embeddings and the output layer, which are not
            quantised; transformers' preparation for training makes them float32.
        kept_hidden: Bytes a token and layer for each unit of the width, when activations are kept.
        kept_inner: The same for each unit of the feed-forward width.
        checkpoint_hidden: Bytes a token, layer and unit of the width for the layers' inputs, when
            activations are computed twice; Unsloth moves them to RAM.
        recomputed_hidden: Bytes a token and unit of the width in the one layer that is computed
            again.
        recomputed_inner: The same for each unit of the feed-forward width.
        logit_bytes: Bytes a token and vocabulary entry; 0 where the loss is computed in pieces.
        head_hidden: Bytes for each weight of the output layer while the loss is computed.
        base_gib: What a step takes however few tokens it has.
        is_base_shared: Whether that memory is free again when the activations need it.
        libraries_gib: Libraries in RAM, or the driver's context on the card.
    """

    embedding_bytes: float
    kept_hidden: float
    kept_inner: float
    checkpoint_hidden: float
    recomputed_hidden: float
    recomputed_inner: float
    logit_bytes: float = 0.0
    head_hidden: float = 0.0
    base_gib: float
    is_base_shared: bool = False
    libraries_gib: float


ENGINES = {
    # Fitted on one H200 on 2026-11-22 (torch 2.11, transformers 5.17, trl 1.14.2, peft 0.21.2,
    # bitsandbytes 0.50.2, unsloth 2026.10.9) to Llama shapes of 1, 3 and 8 billion;
    # tests/models/test_memory_forecast.py has the measured peaks.
    "unsloth": EngineMemory(
        embedding_bytes=2,
        kept_hidden=17.5,
        kept_inner=3.54,
        checkpoint_hidden=0,
        recomputed_hidden=20,
        recomputed_inner=7.4,
        base_gib=0.34,
        is_base_shared=True,
        libraries_gib=0.6,
    ),
    "transformers": EngineMemory(
        embedding_bytes=4,
        kept_hidden=24,
        kept_inner=14.3,
        checkpoint_hidden=4,
        recomputed_hidden=8,
        recomputed_inner=0,
        head_hidden=2,
        base_gib=0.55,
        libraries_gib=0.6,
    ),
    # Without a GPU: an upper bound from formulas (Korthikanti et al. 2022, Reducing Activation
    # Recomputation), for 16 bits; float32 takes twice as much.
    "cpu": EngineMemory(
        embedding_bytes=2,
        kept_hidden=34,
        kept_inner=0,
        checkpoint_hidden=2,
        recomputed_hidden=34,
        recomputed_inner=0,
        logit_bytes=10,
        base_gib=0,
        libraries_gib=1.0,
    ),
}

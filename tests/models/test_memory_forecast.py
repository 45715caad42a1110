"""The forecast against peaks that were measured on a GPU."""

from __future__ import annotations

import statistics

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.models.engine_memory import ENGINES
from medqlora.models.memory_forecast import ModelShape, forecast, shape_of, typical_shape
from tests.benchmarks.shapes import SHAPES

# Shape, engine, micro-batch, tokens a row, rank, activations computed twice; GiB that torch had
# reserved at its peak. One H200, 2026-11-22, `python -m tests.benchmarks.memory`, one run each, in
# a process of its own.
MEASURED = (
    ("llama-1b", "unsloth", 2, 512, 16, True, 1.55),
    ("llama-1b", "unsloth", 4, 1024, 64, True, 2.29),
    ("llama-1b", "unsloth", 12, 1024, 16, True, 3.05),
    ("llama-1b", "unsloth", 2, 1024, 16, False, 3.64),
    ("llama-1b", "unsloth", 8, 512, 32, False, 5.90),
    ("llama-3b", "unsloth", 2, 512, 16, True, 2.88),
    ("llama-3b", "unsloth", 2, 2048, 16, True, 3.43),
    ("llama-3b", "unsloth", 16, 512, 16, True, 4.11),
    ("llama-3b", "unsloth", 4, 1024, 16, False, 12.18),
    ("llama-3b", "unsloth", 4, 2048, 16, False, 20.93),
    ("llama-8b", "unsloth", 2, 512, 16, True, 6.48),
    ("llama-8b", "unsloth", 4, 1024, 16, True, 7.27),
    ("llama-8b", "unsloth", 2, 2048, 64, True, 8.52),
    ("llama-8b", "unsloth", 12, 1024, 32, True, 9.32),
    ("llama-8b", "unsloth", 1, 2048, 8, False, 13.83),
    ("llama-8b", "unsloth", 2, 1024, 16, False, 13.98),
    ("llama-8b", "unsloth", 6, 1024, 16, False, 29.55),
    ("llama-1b", "transformers", 2, 512, 16, True, 2.96),
    ("llama-1b", "transformers", 2, 2048, 16, True, 3.59),
    ("llama-1b", "transformers", 2, 512, 16, False, 5.46),
    ("llama-3b", "transformers", 1, 512, 16, True, 4.73),
    ("llama-3b", "transformers", 2, 1024, 16, True, 5.36),
    ("llama-3b", "transformers", 2, 512, 16, False, 9.97),
    ("llama-8b", "transformers", 1, 1024, 16, True, 10.08),
    ("llama-8b", "transformers", 2, 512, 16, True, 10.08),
    ("llama-8b", "transformers", 1, 1024, 16, False, 18.59),
)


def shape(name: str) -> ModelShape:
    found = shape_of(SHAPES[name])
    assert found is not None
    return found


def error(row: tuple[str, str, int, int, int, bool, float]) -> float:
    """Relative difference of the forecast."""
    name, engine, batch, length, rank, is_checkpointed, measured = row
    config = QLoRAConfig(EMBEDDED_MODEL).changed(
        per_device_train_batch_size=batch,
        max_seq_length=length,
        rank=rank,
        gradient_checkpointing=is_checkpointed,
        optim="adamw_8bit",
    )
    return abs(forecast(shape(name), config, engine=engine).peak_gib / measured - 1)


@pytest.mark.parametrize("row", MEASURED, ids=lambda row: "-".join(map(str, row)))
def test_each_peak_is_forecast_within_7_percent(
    row: tuple[str, str, int, int, int, bool, float],
) -> None:
    assert error(row) <= 0.07


def test_half_of_the_peaks_are_forecast_within_4_percent() -> None:
    assert statistics.median(map(error, MEASURED)) <= 0.04


def test_the_adapter_is_counted_exactly() -> None:
    # PEFT counts 11,272,192 trainable weights for Llama 3.2 1B with rank 16 on all seven layers.
    assert shape("llama-1b").adapter_parameters(QLoRAConfig(EMBEDDED_MODEL, rank=16)) == 11_272_192


@pytest.mark.parametrize("engine", ENGINES)
def test_more_tokens_higher_rank_and_larger_models_never_need_less(engine: str) -> None:
    config = QLoRAConfig(EMBEDDED_MODEL)
    by_tokens = [
        forecast(shape("llama-8b"), config, engine=engine, num_tokens=n).total_gib
        for n in (256, 1024, 4096, 16_384)
    ]
    by_rank = [
        forecast(shape("llama-8b"), config.changed(rank=n), engine=engine).total_gib
        for n in (8, 16, 64)
    ]
    by_size = [
        forecast(typical_shape(n), config, engine=engine).total_gib for n in (0.135, 1, 3, 8, 14)
    ]
    for row in (by_tokens, by_rank, by_size):
        assert row == sorted(row)
    assert len(set(by_rank)) == 3

"""What the contenders of `tests.benchmarks.training` train, and how each is timed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig

MICRO_BATCH, LENGTH, RANK, WARM_UP = 2, 2048, 16, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What every contender trains.

    Attributes:
        checkpoint: Folder of the model.
        rows: File of entries, in any format that the app reads.
        samples: Entries a step.
        steps: Optimizer steps.
        cap_gib: The card is made to refuse what one with so much memory would; 0 for no cap.
    """

    checkpoint: Path
    rows: Path
    samples: int
    steps: int
    cap_gib: float = 0.0

    def config(self) -> QLoRAConfig:
        """The settings that are asked for."""
        import torch

        return QLoRAConfig(EMBEDDED_MODEL, rank=RANK, alpha=RANK).changed(
            per_device_train_batch_size=MICRO_BATCH,
            gradient_accumulation_steps=self.samples // MICRO_BATCH,
            max_seq_length=LENGTH,
            max_steps=self.steps,
            # bitsandbytes has no 8-bit optimizer for the CPU.
            optim="adamw_8bit" if torch.cuda.is_available() else "adamw_torch",
            gradient_checkpointing=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one training took.

    Attributes:
        step_seconds: Each step after the first ones.
        peak_gib: The most that torch reserved on the card, 0 without one.
        settings: What it trained with, where it found that by itself.
    """

    step_seconds: list[float]
    peak_gib: float
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Median of the steps, seconds."""
        return statistics.median(self.step_seconds)


class clocked:
    """Notes when each optimizer step ends, whoever trains, where all of them end it."""

    def __init__(self, ended: list[float]) -> None:
        self._ended = ended

    def __enter__(self) -> None:
        import torch
        from transformers.trainer_callback import CallbackHandler

        self._handler, self._on_step_end = CallbackHandler, CallbackHandler.on_step_end
        original, ended = self._on_step_end, self._ended

        def on_step_end(handler: Any, *given: Any, **named: Any) -> Any:
            found = original(handler, *given, **named)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ended.append(time.monotonic())
            return found

        CallbackHandler.on_step_end = on_step_end

    def __exit__(self, *_: object) -> None:
        self._handler.on_step_end = self._on_step_end


def measured(ended: list[float], settings: Mapping[str, Any] | None = None) -> Measured:
    """What the clock saw, without the first steps."""
    import torch

    has_cuda = torch.cuda.is_available()
    return Measured(
        step_seconds=[b - a for a, b in pairwise(ended[WARM_UP - 1 :])],
        peak_gib=torch.cuda.max_memory_reserved() / 2**30 if has_cuda else 0.0,
        settings=settings or {},
    )


def cap(gib: float) -> None:
    """Makes the card refuse what one with so much memory would."""
    import torch

    if gib and torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(gib * 2**30 / total)


def entries(task: Task) -> Any:
    """The rows."""
    from medqlora.data.loader import MedicalDatasetLoader

    return MedicalDatasetLoader().read(task.rows).entries


def encoded(task: Task, tokenizer: Any) -> Any:
    """The rows as the app's tokens."""
    from datasets import Dataset

    from medqlora.data.tokenizer import MedicalTokenizer

    encode = MedicalTokenizer(tokenizer, max_seq_length=LENGTH).encode_all
    return Dataset.from_list([*encode(entries(task))])

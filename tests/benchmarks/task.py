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
        compute_dtype: What it computes in; `auto` for what the machine does best.
    """

    checkpoint: Path
    rows: Path
    samples: int
    steps: int
    cap_gib: float = 0.0
    compute_dtype: str = "auto"

    def config(self) -> QLoRAConfig:
        """The settings that are asked for."""
        import torch

        return QLoRAConfig(EMBEDDED_MODEL, rank=RANK, alpha=RANK).changed(
            per_device_train_batch_size=MICRO_BATCH,
            gradient_accumulation_steps=self.samples // MICRO_BATCH,
            max_seq_length=LENGTH,
            max_steps=self.steps,
            compute_dtype=self.compute_dtype,
            # bitsandbytes has no 8-bit optimizer for the CPU.
            optim="adamw_8bit" if torch.cuda.is_available() else "adamw_torch",
            gradient_checkpointing=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one training took.

    Attributes:
        step_seconds: Each step after the first ones.
        losses: Of each step.
        peak_gib: The most that torch reserved on the card, 0 without one.
        settings: What it trained with, where it found that by itself.
    """

    step_seconds: list[float]
    losses: list[float]
    peak_gib: float
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Median of the steps, seconds."""
        return statistics.median(self.step_seconds)


class Clock:
    """Notes when each optimizer step ends and its loss, whoever trains, where all end it."""

    def __init__(self) -> None:
        self.ended: list[float] = []
        self.losses: list[float] = []

    def __enter__(self) -> None:
        import torch
        from transformers.trainer_callback import CallbackHandler

        self._handler = CallbackHandler
        self._originals = CallbackHandler.on_step_end, CallbackHandler.on_log
        step_end, log = self._originals

        def on_step_end(handler: Any, *given: Any, **named: Any) -> Any:
            found = step_end(handler, *given, **named)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.ended.append(time.monotonic())
            return found

        def on_log(
            handler: Any, args: Any, state: Any, control: Any, logs: dict[str, Any], **named: Any
        ) -> Any:
            if "loss" in logs:
                self.losses.append(float(logs["loss"]))
            return log(handler, args, state, control, logs, **named)

        CallbackHandler.on_step_end, CallbackHandler.on_log = on_step_end, on_log

    def __exit__(self, *_: object) -> None:
        self._handler.on_step_end, self._handler.on_log = self._originals


def measured(clock: Clock, settings: Mapping[str, Any] | None = None) -> Measured:
    """What the clock saw, without the first steps."""
    import torch

    has_cuda = torch.cuda.is_available()
    return Measured(
        step_seconds=[b - a for a, b in pairwise(clock.ended[WARM_UP - 1 :])],
        losses=clock.losses,
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

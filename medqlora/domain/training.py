"""What a training run is asked to do and what it gave back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class TrainingMetadata:
    """What is recorded beside an adapter so that it can be understood and repeated.

    Attributes:
        model_name: Base model the adapter belongs to.
        dataset_info: Name, hash, counts and split of the data.
        training_config: Every setting of the run.
        training_metrics: Final figures, such as `train_loss` and `eval_loss`.
        timestamp: When training ended, UTC.
    """

    model_name: str
    dataset_info: Mapping[str, Any]
    training_config: Mapping[str, Any]
    training_metrics: Mapping[str, float]
    timestamp: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """How a call of `QLoRATrainer.train` ended.

    Attributes:
        steps: Optimizer steps done in all, earlier attempts included.
        is_complete: False when training was stopped before its last step.
        train_loss: Loss of the last logged step.
        eval_loss: Last loss on the held-out entries, or None without any.
        seconds: Wall time of this call.
        num_tokens: Tokens that went through the model in this call.
    """

    steps: int
    is_complete: bool
    train_loss: float
    eval_loss: float | None
    seconds: float
    num_tokens: int

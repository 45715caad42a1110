"""ModelEngine: what a library must be able to do to train and ask a model for us.

Two libraries are: transformers (everywhere) and Unsloth (faster on a GPU). An engine loads weights,
attaches adapters and builds the library's trainer. It does not know about runs, events or datasets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medqlora.config.qlora import QLoRAConfig

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback
    from trl import SFTConfig

TUNED_ADAPTER = "default"
"""Name under which PEFT keeps the one adapter we train and ask."""

BASE_ADAPTER = "__base__"
"""PEFT's name for "no adapter" in a mixed batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A base model with its tokenizer.

    Attributes:
        model: The quantised base model.
        tokenizer: Its tokenizer, with a padding token.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


class ModelEngine(Protocol):
    """A library that trains and asks models."""

    name: str

    def load_base(self, source: str, config: QLoRAConfig) -> LoadedModel:
        """Loads a base model, quantised as `config` says.

        Args:
            source: Folder of the weights, which may be quantised already; nothing is fetched.
            config: The settings.

        Raises:
            ModelError: The weights cannot be found or loaded.
        """
        ...

    def attach_adapter(self, model: Any, config: QLoRAConfig) -> PeftModel:
        """Adds a fresh float32 adapter, initialised from `config.seed`, and freezes the rest.

        Raises:
            ModelError: The model has none of the layers that should be adapted.
        """
        ...

    def load_adapter(self, model: Any, adapter_dir: Path) -> PeftModel:
        """Adds a saved adapter for asking, not for training.

        Raises:
            ModelError: The adapter is damaged or belongs to another base model.
        """
        ...

    def make_trainer(
        self,
        *,
        model: PeftModel,
        tokenizer: Any,
        arguments: SFTConfig,
        train_dataset: Dataset,
        eval_dataset: Dataset | None,
        callbacks: Sequence[TrainerCallback],
    ) -> Trainer:
        """The library's trainer over rows of `input_ids` and `labels`, adapters in float32."""
        ...

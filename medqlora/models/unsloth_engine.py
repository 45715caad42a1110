"""The engine with Unsloth's kernels: the faster one on a GPU; it runs without a GPU as well.

Importing this module changes transformers, PEFT and TRL for the whole process, so it happens in
workers only, before those are imported, and through `engine_choice`, which also knows what Unsloth
does not take. Licences: unsloth's package says Apache-2.0 and unsloth_zoo's LGPL-3.0, but many of
their files carry AGPL-3.0 headers; see the README.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

# Unsloth writes the source that it generates, by default below the working directory, and imports
# it from there: a folder of this process alone, so that nobody else can put code into it.
if "UNSLOTH_COMPILE_LOCATION" not in os.environ:
    os.environ["UNSLOTH_COMPILE_LOCATION"] = tempfile.mkdtemp(prefix="medqlora-unsloth-")
    atexit.register(shutil.rmtree, os.environ["UNSLOTH_COMPILE_LOCATION"], ignore_errors=True)
# It would also report its use to the model hub.
os.environ["UNSLOTH_DISABLE_STATISTICS"] = "1"

from unsloth import FastLanguageModel  # isort: split

import torch
import trl
from peft import PeftModel
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import ModelError
from medqlora.models.engine import LoadedModel
from medqlora.models.transformers_engine import (
    TransformersEngine,
    compute_in,
    keep_adapter_in_float32,
)


class UnslothEngine(TransformersEngine):
    """See `models.engine.ModelEngine`. The trainer is TRL's, as Unsloth has changed it."""

    name = "unsloth"
    trainer_class = trl.SFTTrainer

    def load_base(self, source: str, config: QLoRAConfig) -> LoadedModel:
        """See the protocol."""
        is_quantized = config.quantization != "none"
        try:
            model, tokenizer = FastLanguageModel.from_pretrained(
                model_name=source,
                max_seq_length=_readable_length(source, config),
                dtype=getattr(torch, config.resolved_compute_dtype()),
                load_in_4bit=is_quantized,
                load_in_16bit=not is_quantized,
                use_gradient_checkpointing=_checkpointing(config),
                use_exact_model_name=True,  # never another repository than the one that was checked
                trust_remote_code=False,
                random_state=config.seed,
            )
        except (
            OSError,
            ValueError,
            KeyError,
            RuntimeError,
            ImportError,
            SafetensorError,
        ) as error:
            raise ModelError(
                f"Unsloth could not load the model {config.model_name} ({type(error).__name__}).",
                hint="Check its name and the network, or choose the engine transformers.",
            ) from error
        if is_quantized and not model.is_loaded_in_4bit:
            raise ModelError(
                f"Unsloth loaded {config.model_name} unquantised: its layers do not fit 4 bits.",
                hint="Choose the engine transformers, or quantisation none.",
            )
        if is_quantized and not torch.cuda.is_available():
            # On a GPU Unsloth itself sees to what ready 4-bit weights are computed in.
            compute_in(model, getattr(torch, config.resolved_compute_dtype()))
        return LoadedModel(model=model, tokenizer=tokenizer)

    def attach_adapter(self, model: Any, config: QLoRAConfig) -> PeftModel:
        """See the protocol."""
        try:
            adapted: PeftModel = FastLanguageModel.get_peft_model(
                model,
                r=config.rank,
                lora_alpha=config.alpha,
                lora_dropout=config.dropout,
                target_modules=list(config.target_modules),
                bias="none",
                use_gradient_checkpointing=_checkpointing(config),
                random_state=config.seed,
            )
        except ValueError as error:
            raise ModelError(
                f"The model {config.model_name} has none of the layers "
                f"{', '.join(config.target_modules)}.",
                hint="Choose all adapted layers on Configure, or another model.",
            ) from error
        keep_adapter_in_float32(adapted)
        return adapted

    def make_trainer(self, *, arguments: Any, callbacks: Any, **others: Any) -> Trainer:
        """See the protocol."""
        arguments.include_num_input_tokens_seen = "non_padding"
        return super().make_trainer(
            arguments=arguments, callbacks=[_TokenCount(), *callbacks], **others
        )

    def load_adapter(self, model: Any, adapter_dir: Path) -> PeftModel:
        """See the protocol; on a GPU `engine_choice.asking_engine` asks instead.

        Raises:
            ModelError: Also when the model is on a GPU, where Unsloth's fast decoding would apply
                the adapter to the base model's rows as well.
        """
        if torch.cuda.is_available():
            raise ModelError(
                "On a GPU Unsloth cannot answer with base and fine-tuned model in one batch.",
                hint="Load the model with the engine transformers to ask it; the adapter fits.",
            )
        return super().load_adapter(model, adapter_dir)


class _TokenCount(TrainerCallback):
    """Adds `num_tokens` to the logs: on a GPU Unsloth's trainer leaves TRL's count out."""

    def __init__(self) -> None:
        self._before = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """What an earlier attempt saw does not count."""
        self._before = int(state.num_input_tokens_seen)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """The callbacks after this one get the same dictionary."""
        if logs is not None:
            logs.setdefault("num_tokens", int(state.num_input_tokens_seen) - self._before)


def _checkpointing(config: QLoRAConfig) -> str | bool:
    return "unsloth" if config.gradient_checkpointing else False


def _readable_length(source: str, config: QLoRAConfig) -> int:
    """Beyond what the model reads, Unsloth would silently stretch its positions."""
    described = AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
    return min(config.max_seq_length, int(described.max_position_embeddings))

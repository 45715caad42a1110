"""The engine that runs everywhere: transformers, PEFT, TRL, and 4 bits by bitsandbytes.

It works without a GPU. Apache-2.0 and MIT throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.nn import Linear4bit
from datasets import Dataset
from peft import PeftModel, get_peft_model, prepare_model_for_kbit_training
from safetensors import SafetensorError
from torch.nn.parallel import DistributedDataParallel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedConfig,
    Trainer,
    TrainerCallback,
    set_seed,
)
from trl import SFTConfig, SFTTrainer

from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import ModelError
from medqlora.models import language_part, sharding
from medqlora.models.engine import LoadedModel
from medqlora.models.tokenizers import load_tokenizer


class ShardedSFTTrainer(SFTTrainer):
    """TRL's trainer, which also trains a model whose layers are sharded."""

    def _wrap_model(self, model: Any, training: bool = True, dataloader: Any = None) -> Any:
        """Averages gradients itself where the model is sharded.

        accelerate refuses to average over a model with sharded weights, because it would send
        these around as well; `training.distributed` keeps all frozen ones out of that.
        """
        wrapped = super()._wrap_model(model, training, dataloader)
        if wrapped is not model or not training or not sharding.is_sharded(model):
            return wrapped
        prepared = self.accelerator.prepare_model(model, evaluation_mode=True)
        return DistributedDataParallel(prepared, find_unused_parameters=False)


class TransformersEngine:
    """See `models.engine.ModelEngine`."""

    name = "transformers"
    trainer_class: type[Trainer] = ShardedSFTTrainer

    def load_base(self, source: str, config: QLoRAConfig) -> LoadedModel:
        """See the protocol."""
        dtype = getattr(torch, config.resolved_compute_dtype())
        options: dict[str, Any] = {
            "dtype": dtype,
            "local_files_only": True,
            "trust_remote_code": False,
            "use_safetensors": True,
        }
        described = _described(source)
        is_ready = described is not None and _is_in_4_bits(described)
        if described is not None and is_ready:
            options["config"] = _computing_in(dtype, described)
        elif config.quantization != "none":
            stored = options["quantization_config"] = config.configure_quantization()
            if described is not None:
                stored.llm_int8_skip_modules = language_part.kept_in_16_bits(described.to_dict())
            if config.is_sharded:
                # The same bytes, called float32 as the other frozen weights are: parts are cut and
                # gathered of weights of one type.
                stored.bnb_4bit_quant_storage = torch.float32
        loading: AbstractContextManager[object] = nullcontext()
        if torch.cuda.is_available():
            # A model that will be sharded is whole in RAM alone: no card may have room for it.
            card = torch.cuda.current_device()
            options["device_map"] = {"": "cpu" if config.is_sharded else card}
            if config.is_sharded:
                loading = sharding.quantized_on(torch.device("cuda", card))
        try:
            with loading:
                model = AutoModelForCausalLM.from_pretrained(source, **options)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ModelError(
                f"The model {config.model_name} could not be loaded ({type(error).__name__}).",
                hint=(
                    "Check its name and the network, or choose the embedded model, which "
                    "needs none."
                ),
            ) from error
        language_part.let_pictures_go(model)
        if is_ready:
            compute_in(model, dtype)
            if language_part.reads_pictures(model.config.to_dict()):
                keep_the_rest_in(model, dtype)
        return LoadedModel(
            model=model, tokenizer=load_tokenizer(source, model_name=config.model_name)
        )

    def attach_adapter(self, model: Any, config: QLoRAConfig) -> PeftModel:
        """See the protocol."""
        keep_weights_differentiable(model)
        # The adapter's first values come from torch's generator: seeded here, they are the same on
        # every start.
        set_seed(config.seed)
        prepared = prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]
            model,
            use_gradient_checkpointing=config.gradient_checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
        )
        adapter = config.configure_lora_params()
        if language_part.reads_pictures(model.config.to_dict()):
            adapter.exclude_modules = language_part.OUTSIDE_LANGUAGE
        try:
            return get_peft_model(prepared, adapter)
        except ValueError as error:
            raise ModelError(
                f"The model {config.model_name} has none of the layers "
                f"{', '.join(config.target_modules)}.",
                hint="Choose all adapted layers on Configure, or another model.",
            ) from error

    def load_adapter(self, model: Any, adapter_dir: Path) -> PeftModel:
        """See the protocol."""
        try:
            return PeftModel.from_pretrained(model, str(adapter_dir), is_trainable=False)
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            raise ModelError(
                f"The adapter in {adapter_dir.name} does not fit this model or is damaged.",
                hint="Choose the base model it was trained on, or another run.",
            ) from error

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
        """See the protocol."""
        if eval_dataset is None:
            arguments.eval_strategy = "no"
        trainer = self.trainer_class(
            model=model,
            args=arguments,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=tokenizer,
            callbacks=list(callbacks),
        )
        keep_adapter_in_float32(trainer.model)
        return trainer


def _described(source: str) -> PreTrainedConfig | None:
    """The model's own description; None where loading will say what is wrong with it."""
    try:
        found: PreTrainedConfig = AutoConfig.from_pretrained(
            source, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError):
        return None
    return found


def _is_in_4_bits(described: PreTrainedConfig) -> bool:
    stored = getattr(described, "quantization_config", None) or {}
    return bool(stored.get("load_in_4bit"))


def _computing_in(dtype: torch.dtype, described: PreTrainedConfig) -> PreTrainedConfig:
    """The description of weights that are stored in 4 bits, set to compute in `dtype`.

    Their own description says bfloat16, which not every card has, and transformers would take that
    rather than what is passed beside it.
    """
    described.quantization_config = {
        **described.quantization_config,
        "bnb_4bit_compute_dtype": str(dtype).removeprefix("torch."),
    }
    return described


def compute_in(model: Any, dtype: torch.dtype) -> None:
    """Has ready 4-bit weights unpacked to `dtype`, as those are that were quantised here."""
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.compute_dtype = dtype
            module.weight.quant_state.dtype = dtype  # type: ignore[attr-defined]


def keep_the_rest_in(model: Any, dtype: torch.dtype) -> None:
    """Casts what is not in 4 bits to `dtype`.

    transformers 5.17 leaves what it renames of ready 4-bit weights in the files' own type, and it
    renames all of a model that also reads pictures.
    """
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


def keep_adapter_in_float32(model: Any) -> None:
    """Casts what is trained to float32.

    TRL makes a fresh adapter bfloat16 on a 4-bit model and loads it as float32 on resume, so that a
    resumed run would differ from the uninterrupted one.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def keep_weights_differentiable(model: Any) -> None:
    """Keeps bitsandbytes from repacking 4-bit weights on the CPU, for a model that will be trained.

    On processors with bfloat16 instructions an evaluation repacks them for a faster kernel that has
    no backward pass, and from then on gradients silently stop at every layer. For asking a model
    that kernel is welcome.
    """
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False

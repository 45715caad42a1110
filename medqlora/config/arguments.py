"""The training arguments that TRL's trainer takes, made of the settings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trl import SFTConfig

    from medqlora.config.qlora import QLoRAConfig


def sft_config(config: QLoRAConfig, output_dir: Path | str, *, num_entries: int) -> SFTConfig:
    """See `QLoRAConfig.training_arguments`."""
    import torch
    from trl import SFTConfig

    total = config.total_steps(num_entries)
    dtype = config.resolved_compute_dtype()
    return SFTConfig(
        output_dir=str(output_dir),
        max_steps=total,
        per_device_train_batch_size=config.per_device_train_batch_size,
        per_device_eval_batch_size=2 * config.per_device_train_batch_size,  # no activations kept
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.lr_scheduler_type,
        warmup_steps=round(total * config.warmup_share),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim=config.optim,
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=dtype == "bfloat16",
        fp16=dtype == "float16",
        gradient_checkpointing=config.gradient_checkpointing,
        max_length=None,  # MedicalTokenizer has cut the rows and can say which
        packing=False,
        # Rows side by side instead of padded to the longest, once the trainer has proven that
        # they cannot see each other. Without a GPU's kernels that costs more than padding does.
        padding_free=config.padding_free
        and config.per_device_train_batch_size > 1
        and torch.cuda.is_available(),
        logging_steps=1,
        logging_nan_inf_filter=False,  # the default shows a NaN loss as 0.0 for ever after
        eval_strategy="steps",
        eval_steps=config.eval_steps or max(math.ceil(total / 3), 1),
        save_strategy="steps",
        save_steps=config.save_steps,
        save_total_limit=None,  # CheckpointManager rotates, after validating
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )

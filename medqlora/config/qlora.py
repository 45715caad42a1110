"""QLoRAConfig: every setting of a QLoRA fine-tune, checked when it is made.

It holds values and turns them into what PEFT, bitsandbytes and TRL take. It does not look at the
machine by itself (`optimize_for_colab` does when called) and does not load anything. The libraries
are imported when a method needs them, so that a form can show the settings without torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqlora.config.arguments import sft_config
from medqlora.config.presets import card_of_torch, suited_to_card
from medqlora.config.setting import checked, nearest, setting, settings_of
from medqlora.errors import ConfigError

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import BitsAndBytesConfig
    from trl import SFTConfig

EMBEDDED_MODEL = "SmolLM2-135M-Instruct"

TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(slots=True)
class QLoRAConfig:
    """Settings of one fine-tune.

    Raises:
        ConfigError: A value is outside its range, or values contradict each other.
    """

    model_name: str = setting(
        label="Base model",
        help="The model to start from; the embedded one needs no network.",
        section="Model",
    )
    rank: int = setting(
        16,
        label="LoRA rank",
        help="How much the adapter can learn: higher learns more and takes more memory.",
        section="LoRA",
        minimum=4,
        maximum=128,
        advice="16 suits most datasets.",
    )
    alpha: int = setting(
        32,
        label="LoRA alpha",
        help="How strongly the adapter acts; usually twice the rank.",
        section="LoRA",
        minimum=1,
        maximum=512,
        advice="Twice the rank is usual.",
    )
    _: KW_ONLY
    model_revision: str = setting(
        "",
        label="Revision of the base model",
        help="The commit of the hub that is used; found when a run is made, and kept with it.",
        section="Model",
        pattern="[0-9a-f]{40}",
        advice="Leave it out for the newest, or give a commit's 40 hexadecimal digits.",
    )
    base_weights: str = setting(
        "",
        label="Weights of the base model",
        help="The model's own files, or a ready 4-bit copy; found when a run is made, and kept.",
        section="Model",
        pattern=r"own|[\w.-]+/[\w.-]+@[0-9a-f]{40}",
        advice="Leave it out, or write own, or a copy and its commit: owner/name@commit.",
    )
    dropout: float = setting(
        0.0,
        label="LoRA dropout",
        help=(
            "Share of adapter inputs left out at random in training; a little helps very "
            "small datasets."
        ),
        section="LoRA",
        minimum=0.0,
        maximum=0.5,
        advice="0 is usual; 0.05 to 0.1 for a few hundred rows.",
    )
    target_modules: tuple[str, ...] = setting(
        TARGET_MODULES,
        label="Adapted layers",
        help="Which linear layers get an adapter; all of them learns best.",
        section="LoRA",
        choices=TARGET_MODULES,
        advice="All seven is the usual choice.",
    )
    learning_rate: float = setting(
        2e-4,
        label="Learning rate",
        help="How large each step is: too large forgets, too small does not learn.",
        section="Training",
        minimum=1e-6,
        maximum=1e-2,
        advice="2e-4 suits most models; up to 1e-3 for very small ones.",
    )
    num_train_epochs: float = setting(
        2.0,
        label="Epochs",
        help="How often the model sees each training entry.",
        section="Training",
        minimum=0.01,
        maximum=100.0,
        advice="1 to 3 is usual.",
    )
    max_steps: int = setting(
        0,
        label="Steps (0: by epochs)",
        help="Stops after this many optimizer steps; 0 lets the epochs decide.",
        section="Training",
        minimum=0,
        maximum=1_000_000,
        advice="0 trains the number of epochs.",
    )
    lr_scheduler_type: str = setting(
        "cosine",
        label="Learning rate schedule",
        help="How the learning rate falls during training.",
        section="Training",
        choices=("cosine", "linear", "constant"),
    )
    warmup_share: float = setting(
        0.05,
        label="Warm-up share",
        help="Share of the steps in which the learning rate rises from zero.",
        section="Training",
        minimum=0.0,
        maximum=0.5,
        advice="0.03 to 0.1 is usual.",
    )
    per_device_train_batch_size: int = setting(
        4,
        label="Batch size per device",
        help="Entries processed at once: larger is faster and takes more memory.",
        section="Batch and length",
        minimum=1,
        maximum=256,
        advice="1 to 8 fits most cards.",
    )
    auto_find_batch_size: bool = setting(
        True,
        label="Find the batch size",
        help="On a GPU: as many entries at once as fit, keeping the number a step.",
        section="Batch and length",
    )
    gradient_accumulation_steps: int = setting(
        1,
        label="Gradient accumulation",
        help="Batches added up before one optimizer step; costs time, not memory.",
        section="Batch and length",
        minimum=1,
        maximum=256,
        advice="Batch size times accumulation is often 8 to 32.",
    )
    max_seq_length: int = setting(
        512,
        label="Longest entry (tokens)",
        help="Entries longer than this are cut at their end.",
        section="Batch and length",
        minimum=32,
        maximum=32_768,
        advice="512 holds a question with a short answer; 2048 an abstract.",
    )
    seed: int = setting(
        42,
        label="Seed",
        help="The same seed, data and settings give the same adapter.",
        section="Training",
        minimum=0,
        maximum=2_147_483_647,
    )
    eval_steps: int = setting(
        0,
        label="Measure every (steps, 0: automatic)",
        help="How often the loss on the held-out entries is measured.",
        section="Saving",
        minimum=0,
        maximum=1_000_000,
        advice="0 measures before the run and three times in it.",
    )
    save_steps: int = setting(
        25,
        label="Checkpoint every (steps)",
        help="How often a checkpoint is kept, so that a stopped run can go on.",
        section="Saving",
        minimum=1,
        maximum=1_000_000,
        advice="25 loses at most 25 steps.",
    )
    save_minutes: float = setting(
        10.0,
        label="Checkpoint every (minutes, 0: by steps alone)",
        help="Also keeps a checkpoint after this time, for runs whose steps are slow.",
        section="Saving",
        minimum=0.0,
        maximum=1440.0,
        advice="10 loses at most ten minutes and a step.",
    )
    quantization: str = setting(
        "nf4",
        label="Quantisation",
        help="How the base model is stored: nf4 takes a quarter of the memory of 16 bits.",
        section="Advanced",
        choices=("nf4", "fp4", "none"),
    )
    double_quantization: bool = setting(
        True,
        label="Double quantisation",
        help="Also stores the scales of the quantisation in 8 bits.",
        section="Advanced",
    )
    compute_dtype: str = setting(
        "auto",
        label="Computation in",
        help="Number format of the computation; automatic takes what the machine does best.",
        section="Advanced",
        choices=("auto", "bfloat16", "float16", "float32"),
    )
    optim: str = setting(
        "adamw_torch",
        label="Optimizer",
        help="The 8-bit one takes a quarter of the memory for its state.",
        section="Advanced",
        choices=("adamw_torch", "adamw_8bit", "paged_adamw_8bit"),
    )
    weight_decay: float = setting(
        0.0,
        label="Weight decay",
        help="Pulls the adapter's weights towards zero.",
        section="Advanced",
        minimum=0.0,
        maximum=1.0,
    )
    max_grad_norm: float = setting(
        1.0,
        label="Gradient clipping",
        help="Longest gradient that is let through.",
        section="Advanced",
        minimum=0.01,
        maximum=100.0,
    )
    gradient_checkpointing: bool = setting(
        False,
        label="Gradient checkpointing",
        help="Computes activations twice instead of keeping them: less memory, more time.",
        section="Advanced",
    )
    padding_free: bool = setting(
        True,
        label="No padding",
        help="Lays entries side by side, if it is proven that they cannot see each other.",
        section="Advanced",
    )
    engine: str = setting(
        "auto",
        label="Engine",
        help="What trains: Unsloth is faster on a GPU, transformers runs everywhere.",
        section="Advanced",
        choices=("auto", "transformers", "unsloth"),
    )
    num_processes: int = setting(
        1,
        label="GPUs (processes)",
        help="Trains on so many GPUs at once, each with its own part of the entries.",
        section="Batch and length",
        minimum=1,
        maximum=1024,
        advice="At most the number of GPUs of the machine, or of all machines together.",
    )
    shard_weights: str = setting(
        "auto",
        label="Share out the model",
        help="Each GPU keeps a part of the model; automatic where it does not fit one GPU.",
        section="Advanced",
        choices=("auto", "yes", "no"),
    )

    def __post_init__(self) -> None:
        for one in fields(self):
            setattr(self, one.name, checked(one, getattr(self, one.name)))
        if self.shard_weights == "yes" and self.num_processes == 1:
            raise ConfigError(
                "shard_weights yes needs num_processes 2 or more.", hint="Raise it or choose auto."
            )

    @property
    def is_sharded(self) -> bool:
        """Whether each process keeps a part of the model; `auto` counts as not decided yet."""
        return self.shard_weights == "yes"

    @property
    def effective_batch_size(self) -> int:
        """Entries that go into one optimizer step, on all devices together."""
        per_device = self.per_device_train_batch_size * self.gradient_accumulation_steps
        return per_device * self.num_processes

    def total_steps(self, num_entries: int) -> int:
        """Optimizer steps of a run over `num_entries` training entries."""
        if self.max_steps:
            return self.max_steps
        batches = math.ceil(num_entries / (self.per_device_train_batch_size * self.num_processes))
        steps_per_epoch = max(math.ceil(batches / self.gradient_accumulation_steps), 1)
        return max(math.ceil(steps_per_epoch * self.num_train_epochs), 1)

    def configure_quantization(self) -> BitsAndBytesConfig:
        """The quantisation as transformers takes it.

        Raises:
            ConfigError: `quantization` is `none`, which has no such configuration.
        """
        import torch
        from transformers import BitsAndBytesConfig

        if self.quantization == "none":
            raise ConfigError(
                "quantization none loads the model in full precision.",
                hint="Choose nf4 or fp4 to get a 4-bit configuration.",
            )
        return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type=self.quantization,
            bnb_4bit_use_double_quant=self.double_quantization,
            bnb_4bit_compute_dtype=getattr(torch, self.resolved_compute_dtype()),
        )

    def configure_lora_params(self) -> LoraConfig:
        """The adapter as PEFT takes it."""
        from peft import LoraConfig

        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=list(self.target_modules),
            bias="none",
            task_type="CAUSAL_LM",
        )

    def optimize_for_colab(self) -> None:
        """Sets what depends on the card to what suits the one that is found.

        The effective batch size stays. Without a GPU nothing changes.
        """
        for name, value in suited_to_card(self, card_of_torch()).items():
            setattr(self, name, value)

    def resolved_compute_dtype(self) -> str:
        """`compute_dtype`, with `auto` replaced by what this machine does best."""
        if self.compute_dtype != "auto":
            return self.compute_dtype
        import torch

        if not torch.cuda.is_available():
            # Without the instructions bfloat16 is emulated: several times slower than float32.
            return "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"

    def training_arguments(self, output_dir: Path | str, *, num_entries: int) -> SFTConfig:
        """The training arguments that `QLoRATrainer` takes.

        Args:
            output_dir: Where the trainer writes.
            num_entries: Training entries, for what is given as a share of the run.
        """
        return sft_config(self, output_dir, num_entries=num_entries)

    def changed(self, **values: Any) -> QLoRAConfig:
        """A copy with some settings changed, checked again."""
        return replace(self, **values)

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON values."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> QLoRAConfig:
        """The configuration that `to_dict` wrote, or that a user's JSON file holds.

        Raises:
            ConfigError: A setting is unknown, missing or not allowed.
        """
        known = settings_of(cls)
        for name in values:
            if name not in known:
                raise ConfigError(f"There is no setting {name!r}.", hint=nearest(name, known))
        return cls(**{"model_name": EMBEDDED_MODEL, **values})

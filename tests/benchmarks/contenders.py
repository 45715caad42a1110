"""The ways to train that `tests.benchmarks.training` sets side by side.

`plain` and `unsloth` are written with TRL and Unsloth alone, as their documentation shows; `ours`
is the app's default, with its events, its memory samples and its checkpoints; `same` is the trainer
of the same engine with the settings that `ours` ended up with and nothing of ours around it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig

MICRO_BATCH, LENGTH, RANK, WARM_UP = 2, 2048, 16, 2
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FITTED = ("per_device_train_batch_size", "gradient_accumulation_steps", "gradient_checkpointing")


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


def ours(task: Task, settings: Mapping[str, Any]) -> Measured:
    """The app's default."""
    from medqlora.models.engine_choice import choose_engine

    config = task.config()
    engine = choose_engine(config).engine  # before torch: Unsloth has to come first
    from medqlora.domain.artifacts import CheckpointOrigin
    from medqlora.persistence.checkpoints import CheckpointManager
    from medqlora.runs.event_log import EventLogWriter
    from medqlora.training.memory import MemoryMonitor
    from medqlora.training.trainer import QLoRATrainer

    _cap(task.cap_gib)
    loaded = engine.load_base(str(task.checkpoint), config)
    data = _encoded(task, loaded.tokenizer)
    config, limit_gib = _fitted(config, loaded, engine.name, data, task.cap_gib)
    ended: list[float] = []
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = CheckpointManager(
            Path(folder) / "checkpoints",
            run_id="benchmark",
            origin=CheckpointOrigin(run_id="benchmark"),
        )
        arguments = config.training_arguments(checkpoints.staging, num_entries=len(data))
        with (
            EventLogWriter(Path(folder) / "events.jsonl", run_id="benchmark") as log,
            MemoryMonitor(log.append),
            _clocked(ended),
        ):
            QLoRATrainer(
                engine.attach_adapter(loaded.model, config),
                loaded.tokenizer,
                arguments,
                engine=engine,
                checkpoints=checkpoints,
                sink=log.append,
                save_minutes=config.save_minutes,
                probe_limit_gib=limit_gib,
                on_ready=lambda ready: found.update(
                    {name: getattr(ready, name) for name in (*FITTED, "padding_free")}
                ),
            ).train(data)
    return _measured(ended, {**found, "engine": engine.name})


def same(task: Task, settings: Mapping[str, Any]) -> Measured:
    """The library's trainer with the settings that `ours` ended up with, and nothing around it."""
    from medqlora.models.engine_choice import choose_engine

    config = task.config().changed(
        engine=settings["engine"], **{name: settings[name] for name in FITTED}
    )
    engine = choose_engine(config).engine
    _cap(task.cap_gib)
    loaded = engine.load_base(str(task.checkpoint), config)
    data = _encoded(task, loaded.tokenizer)
    ended: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        arguments = config.training_arguments(Path(folder), num_entries=len(data))
        arguments.padding_free = settings["padding_free"]
        arguments.save_strategy = "no"
        trainer = engine.make_trainer(
            model=engine.attach_adapter(loaded.model, config),
            tokenizer=loaded.tokenizer,
            arguments=arguments,
            train_dataset=data,
            eval_dataset=None,
            callbacks=[],
        )
        with _clocked(ended):
            trainer.train()
    return _measured(ended)


def plain(task: Task, settings: Mapping[str, Any]) -> Measured:
    """TRL, PEFT and bitsandbytes as their documentation shows."""
    import torch
    from peft import LoraConfig, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    _cap(task.cap_gib)
    dtype = getattr(torch, task.config().resolved_compute_dtype())
    model = AutoModelForCausalLM.from_pretrained(
        task.checkpoint,
        dtype=dtype,
        device_map={"": 0 if torch.cuda.is_available() else "cpu"},
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        ),
    )
    model = prepare_model_for_kbit_training(
        model,
        use_gradient_checkpointing=True,
        gradient_checkpointing_kwargs={"use_reentrant": False},
    )
    adapter = LoraConfig(
        r=RANK, lora_alpha=RANK, target_modules=TARGETS, task_type="CAUSAL_LM", bias="none"
    )
    return _bare(task, model, AutoTokenizer.from_pretrained(task.checkpoint), adapter)


def unsloth(task: Task, settings: Mapping[str, Any]) -> Measured:
    """The recipe of Unsloth's notebooks."""
    from unsloth import FastLanguageModel

    _cap(task.cap_gib)
    model, tokenizer = FastLanguageModel.from_pretrained(
        str(task.checkpoint), max_seq_length=LENGTH, load_in_4bit=True, local_files_only=True
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=RANK,
        lora_alpha=RANK,
        lora_dropout=0,
        target_modules=TARGETS,
        use_gradient_checkpointing="unsloth",
    )
    return _bare(task, model, tokenizer, None)


CONTENDERS: dict[str, Callable[[Task, Mapping[str, Any]], Measured]] = {
    "plain": plain,
    "unsloth": unsloth,
    "ours": ours,
    "same": same,
}


def _bare(task: Task, model: Any, tokenizer: Any, adapter: Any) -> Measured:
    """TRL's own trainer on the rows as text."""
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    config = task.config()
    texts = [
        tokenizer.apply_chat_template(
            [
                {"role": "user", "content": f"{one.context or ''}\n\n{one.question}"},
                {"role": "assistant", "content": one.answer},
            ],
            tokenize=False,
        )
        for one in _entries(task)
    ]
    ended: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=model,
            processing_class=tokenizer,
            peft_config=adapter,
            train_dataset=Dataset.from_dict({"text": texts}),
            args=SFTConfig(
                output_dir=folder,
                max_steps=task.steps,
                per_device_train_batch_size=MICRO_BATCH,
                gradient_accumulation_steps=task.samples // MICRO_BATCH,
                max_length=LENGTH,
                learning_rate=config.learning_rate,
                optim=config.optim,
                bf16=config.resolved_compute_dtype() == "bfloat16",
                use_cpu=not torch.cuda.is_available(),
                gradient_checkpointing=True,
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                seed=1,
            ),
        )
        with _clocked(ended):
            trainer.train()
    return _measured(ended)


class _clocked:
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


def _measured(ended: list[float], settings: Mapping[str, Any] | None = None) -> Measured:
    import torch

    has_cuda = torch.cuda.is_available()
    return Measured(
        step_seconds=[b - a for a, b in pairwise(ended[WARM_UP - 1 :])],
        peak_gib=torch.cuda.max_memory_reserved() / 2**30 if has_cuda else 0.0,
        settings=settings or {},
    )


def _cap(gib: float) -> None:
    import torch

    if gib and torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(gib * 2**30 / total)


def _entries(task: Task) -> Any:
    from medqlora.data.loader import MedicalDatasetLoader

    return MedicalDatasetLoader().read(task.rows).entries


def _encoded(task: Task, tokenizer: Any) -> Any:
    from datasets import Dataset

    from medqlora.data.tokenizer import MedicalTokenizer

    encode = MedicalTokenizer(tokenizer, max_seq_length=LENGTH).encode_all
    return Dataset.from_list([*encode(_entries(task))])


def _fitted(
    config: QLoRAConfig, loaded: Any, engine: str, data: Any, cap_gib: float
) -> tuple[QLoRAConfig, float | None]:
    """The settings as a run would begin with them on this card, and what its probe may hold."""
    import torch

    from medqlora.models.memory_forecast import shape_of
    from medqlora.training.batch_fitting import USABLE_SHARE, fitted_batch
    from medqlora.training.probe import row_tokens

    if not torch.cuda.is_available():
        return config, None
    total = torch.cuda.get_device_properties(0).total_memory / 2**30
    limit = USABLE_SHARE["gpu"] * (cap_gib or total)
    shape = shape_of(loaded.model.config.to_dict())
    assert shape is not None
    changes = fitted_batch(
        config, shape, limit_gib=limit, engine=engine, row_tokens=row_tokens(data), may_raise=True
    )
    return config.changed(**{one.name: one.new for one in changes}), limit

"""The ways to train that `tests.benchmarks.training` sets side by side.

`plain` and `unsloth` are written with TRL and Unsloth alone, as their documentation shows; `ours`
is the app's default, with its events, its memory samples and its checkpoints; `same` is the trainer
of the same engine with the settings that `ours` ended up with and nothing of ours around it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medqlora.config.qlora import QLoRAConfig
from tests.benchmarks.task import (
    LENGTH,
    MICRO_BATCH,
    RANK,
    Clock,
    Measured,
    Task,
    cap,
    encoded,
    entries,
    measured,
)

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FITTED = ("per_device_train_batch_size", "gradient_accumulation_steps", "gradient_checkpointing")


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

    cap(task.cap_gib)
    loaded = engine.load_base(str(task.checkpoint), config)
    data = encoded(task, loaded.tokenizer)
    config, limit_gib = _fitted(config, loaded, engine.name, data, task.cap_gib)
    clock = Clock()
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
            clock,
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
    return measured(clock, {**found, "engine": engine.name})


def same(task: Task, settings: Mapping[str, Any]) -> Measured:
    """The library's trainer with the settings that `ours` ended up with, and nothing around it."""
    from medqlora.models.engine_choice import choose_engine

    config = task.config().changed(
        engine=settings["engine"], **{name: settings[name] for name in FITTED}
    )
    engine = choose_engine(config).engine
    cap(task.cap_gib)
    loaded = engine.load_base(str(task.checkpoint), config)
    data = encoded(task, loaded.tokenizer)
    clock = Clock()
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
        with clock:
            trainer.train()
    return measured(clock)


def plain(task: Task, settings: Mapping[str, Any]) -> Measured:
    """TRL, PEFT and bitsandbytes as their documentation shows."""
    import torch
    from peft import LoraConfig, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    cap(task.cap_gib)
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

    cap(task.cap_gib)
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
        for one in entries(task)
    ]
    clock = Clock()
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
                fp16=config.resolved_compute_dtype() == "float16",
                use_cpu=not torch.cuda.is_available(),
                gradient_checkpointing=True,
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                seed=1,
            ),
        )
        with clock:
            trainer.train()
    return measured(clock)


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

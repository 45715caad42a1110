"""The memory forecast beside the measured peak, for many settings on a GPU.

`python -m tests.benchmarks.memory FOLDER [GROUP ...]` makes checkpoints of real models' shapes in
FOLDER, trains a few steps with each setting of the table on rows of exactly the longest length, and
prints a JSON line for each: what torch had reserved at its peak, what was forecast, in GiB. Groups
run in processes of their own, all at once: memory is counted by process. Without a GPU the group
`tiny` tries the program out.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from tests.benchmarks import shapes

ROOT = Path(__file__).parents[2]
STEPS = 3


@dataclass(frozen=True, slots=True)
class Group:
    """Settings that one process measures one after the other.

    Attributes:
        shape: The checkpoint.
        engine: What trains.
        batches: Micro-batch, tokens a row, and whether activations are computed twice.
        changes: Other settings.
    """

    shape: str
    engine: str
    batches: Sequence[tuple[int, int, bool]]
    changes: dict[str, Any] = field(default_factory=dict)


GROUPS = {
    "1b": Group("llama-1b", "unsloth", [(2, 512, True), (4, 1024, True), (8, 2048, True)]),
    "1b-r64": Group("llama-1b", "unsloth", [(4, 1024, True)], {"rank": 64, "alpha": 128}),
    "1b-kept": Group("llama-1b", "unsloth", [(2, 1024, False), (4, 2048, False)]),
    "3b": Group("llama-3b", "unsloth", [(2, 512, True), (4, 1024, True), (8, 1024, True)]),
    "3b-kept": Group("llama-3b", "unsloth", [(4, 1024, False)]),
    "8b": Group("llama-8b", "unsloth", [(2, 512, True), (2, 2048, True), (8, 2048, True)]),
    "8b-r64": Group("llama-8b", "unsloth", [(2, 2048, True)], {"rank": 64, "alpha": 128}),
    "8b-kept": Group("llama-8b", "unsloth", [(2, 1024, False), (4, 1536, False)]),
    "3b-long": Group("llama-3b", "unsloth", [(2, 2048, True)]),
    "3b-wide": Group("llama-3b", "unsloth", [(16, 512, True)]),
    "3b-kept-wide": Group("llama-3b", "unsloth", [(4, 2048, False)]),
    "8b-short": Group("llama-8b", "unsloth", [(4, 1024, True)]),
    "8b-wide": Group("llama-8b", "unsloth", [(12, 1024, True)], {"rank": 32, "alpha": 64}),
    "8b-kept-one": Group("llama-8b", "unsloth", [(1, 2048, False)], {"rank": 8, "alpha": 16}),
    "8b-kept-wide": Group("llama-8b", "unsloth", [(6, 1024, False)]),
    "1b-wide": Group("llama-1b", "unsloth", [(12, 1024, True)]),
    "1b-kept-short": Group("llama-1b", "unsloth", [(8, 512, False)], {"rank": 32, "alpha": 64}),
    "1b-plain-long": Group("llama-1b", "transformers", [(2, 2048, True)]),
    "3b-plain-one": Group("llama-3b", "transformers", [(1, 512, True)]),
    "3b-plain-kept": Group("llama-3b", "transformers", [(2, 512, False)]),
    "8b-plain-two": Group("llama-8b", "transformers", [(2, 512, True)]),
    "8b-plain-kept": Group("llama-8b", "transformers", [(1, 1024, False)]),
    "14b": Group("llama-14b", "unsloth", [(2, 2048, True)]),
    "1b-plain": Group("llama-1b", "transformers", [(2, 512, True), (4, 1024, True)]),
    "1b-plain-kept": Group("llama-1b", "transformers", [(2, 512, False), (4, 1024, False)]),
    "3b-plain": Group("llama-3b", "transformers", [(2, 1024, True), (8, 512, True)]),
    "8b-plain": Group("llama-8b", "transformers", [(1, 1024, True), (2, 2048, True)]),
    "tiny": Group("tiny", "transformers", [(2, 128, True), (4, 256, False)]),
}


def measure(checkpoint: Path, group: Group) -> None:
    """Trains with each batch of a group and prints what it took."""
    from medqlora.models.engine_choice import choose_engine
    from medqlora.training.trainer import QLoRATrainer

    base = QLoRAConfig(EMBEDDED_MODEL).changed(
        engine=group.engine, optim="adamw_8bit", max_steps=STEPS, warmup_share=0.0, **group.changes
    )
    engine = choose_engine(base).engine
    import torch

    for micro_batch, length, is_checkpointed in group.batches:
        config = base.changed(
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=2,
            max_seq_length=length,
            gradient_checkpointing=is_checkpointed,
        )
        loaded = engine.load_base(str(checkpoint), config)
        weights = _reserved(torch)
        rows = _rows(loaded.tokenizer, micro_batch * 2 * STEPS, length)
        with tempfile.TemporaryDirectory() as folder:
            trainer = QLoRATrainer(
                engine.attach_adapter(loaded.model, config),
                loaded.tokenizer,
                config.training_arguments(Path(folder), num_entries=len(rows)),
                engine=engine,
            )
            trainer.train(rows)
        print("MEASURED " + json.dumps(_found(torch, config, group, loaded, weights)), flush=True)
        del trainer, loaded
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def _found(torch: Any, config: QLoRAConfig, group: Group, loaded: Any, weights: float) -> Any:
    from medqlora.models.memory_forecast import forecast, shape_of

    shape = shape_of(loaded.model.config.to_dict())
    assert shape is not None
    expected = forecast(shape, config, engine=group.engine)
    has_cuda = torch.cuda.is_available()
    return {
        "shape": group.shape,
        "engine": group.engine,
        "micro_batch": config.per_device_train_batch_size,
        "length": config.max_seq_length,
        "rank": config.rank,
        "checkpointing": config.gradient_checkpointing,
        "weights_gib": round(weights, 3),
        "allocated_gib": round(torch.cuda.max_memory_allocated() / 2**30, 3) if has_cuda else 0,
        "reserved_gib": round(torch.cuda.max_memory_reserved() / 2**30, 3) if has_cuda else 0,
        "forecast_gib": round(expected.peak_gib, 3),
    }


def _reserved(torch: Any) -> float:
    return torch.cuda.memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0


def _rows(tokenizer: Any, number: int, length: int) -> Any:
    from datasets import Dataset

    ids = [n % 5000 + 10 for n in range(length)]
    return Dataset.from_list([{"input_ids": ids, "labels": ids}] * number)


def main(folder: Path, names: Sequence[str]) -> None:
    """Measures groups side by side and prints their lines."""
    for shape in {GROUPS[name].shape for name in names}:
        if not (folder / shape / "config.json").exists():
            shapes.build(folder / shape, shape)
    command = [sys.executable, "-m", "tests.benchmarks.memory", str(folder), "--one"]
    running = {
        name: subprocess.Popen(
            [*command, name], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for name in names
    }
    for name, process in running.items():
        said, _ = process.communicate()
        lines = [one for one in said.splitlines() if one.startswith("MEASURED ")]
        print("\n".join(one.removeprefix("MEASURED ") for one in lines), flush=True)
        if process.returncode:
            print(f"{name} failed:\n{said[-1500:]}", flush=True)


if __name__ == "__main__":
    place, *rest = sys.argv[1:]
    if rest[:1] == ["--one"]:
        measure(Path(place) / GROUPS[rest[1]].shape, GROUPS[rest[1]])
    else:
        main(Path(place), rest or ["tiny"])

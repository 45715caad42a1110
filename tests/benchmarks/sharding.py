"""What sharding a model over several GPUs costs and saves, beside the same run with whole models.

`python -m tests.benchmarks.sharding --shape llama-8b` makes random weights of that shape and trains
them in two processes, whole in each and then sharded, with the same rows. It tells whether losses
and adapter are the same, what each card held at its peak, and how fast it was. With `--cap-gib` a
card refuses more, so that a model can be seen to train sharded that does not whole. The shape
`tiny`, the default, shows on a machine without a GPU that the program works and nothing about GPUs.
Needs no network.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from tests.benchmarks.scaling import NUM_WARM_STEPS, measure, random_rows, tell
from tests.benchmarks.shapes import SHAPES, build

MODES = ("no", "yes")


def train(options: argparse.Namespace) -> dict[str, Any]:
    """One training in this process, and the others of its world size."""
    import torch

    from medqlora.domain.events import StepLogged
    from medqlora.models import sharding
    from medqlora.models.transformers_engine import TransformersEngine
    from medqlora.training.distributed import in_turn, join, refuse_unequal
    from medqlora.training.trainer import QLoRATrainer

    begun_at = time.monotonic()
    join(options.processes)
    has_gpu = torch.cuda.is_available()
    if has_gpu and options.cap_gib:
        total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        torch.cuda.set_per_process_memory_fraction(options.cap_gib * 2**30 / total)
    config = _config(options, has_gpu=has_gpu)
    engine = TransformersEngine()

    def adapted() -> tuple[Any, Any]:
        loaded = engine.load_base(str(options.model_dir), config)
        return loaded, engine.attach_adapter(loaded.model, config)

    if config.is_sharded:
        mesh = sharding.mesh_of_all()
        with in_turn():
            loaded, model = adapted()
            sums = sharding.shard(model, mesh)
        sharding.refuse_altered(model, sums)
    else:
        loaded, model = adapted()
    held = sharding.held_bytes(model)
    load_seconds = time.monotonic() - begun_at
    rows = random_rows(config, num_words=loaded.model.config.vocab_size)
    ended: list[float] = []
    losses: list[float] = []

    def note(event: Any) -> None:
        if isinstance(event, StepLogged):
            ended.append(time.monotonic())
            losses.append(event.loss)

    with tempfile.TemporaryDirectory() as folder:
        QLoRATrainer(
            model,
            loaded.tokenizer,
            config.training_arguments(Path(folder), num_entries=len(rows)),
            engine=engine,
            max_seq_length=config.max_seq_length,
            sink=note,
        ).train(rows)
    refuse_unequal(model)
    if not ended:  # only the main process is told of steps
        return {}
    seconds = median([b - a for a, b in pairwise(ended)][NUM_WARM_STEPS:])
    return {
        "seconds": seconds,
        "tokens_per_second": config.effective_batch_size * config.max_seq_length / seconds,
        "peak_gib": torch.cuda.max_memory_reserved() / 2**30 if has_gpu else 0.0,
        "held_mib": held / 2**20,
        "load_seconds": load_seconds,
        "losses": losses,
        "adapter": _digest(model),
    }


def _config(options: argparse.Namespace, *, has_gpu: bool) -> QLoRAConfig:
    return QLoRAConfig(
        EMBEDDED_MODEL,
        max_steps=options.steps,
        per_device_train_batch_size=options.batch,
        max_seq_length=options.length,
        num_processes=options.processes,
        shard_weights=options.one,
        gradient_checkpointing=has_gpu,
        optim="adamw_8bit" if has_gpu else "adamw_torch",
        engine="transformers",
    )


def _digest(model: Any) -> str:
    digest = hashlib.sha256()
    for weights in model.parameters():
        if weights.requires_grad:
            digest.update(weights.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sharding")
    add = parser.add_argument
    add("--shape", default="tiny", choices=tuple(SHAPES))
    add("--processes", type=int, default=2)
    add("--steps", type=int, default=13, help=f"the first {NUM_WARM_STEPS + 1} do not count")
    add("--batch", type=int, default=2, help="rows a device and pass")
    add("--length", type=int, default=512, help="tokens a row")
    add("--cap-gib", type=float, default=0.0, help="what torch may take of each card; 0: all")
    add("--model-dir", type=Path, help=argparse.SUPPRESS)
    add("--one", choices=MODES, help=argparse.SUPPRESS)
    return parser.parse_args()


def main(options: argparse.Namespace, model_dir: Path) -> None:
    """Measures both ways and says whether they learned the same."""
    import torch

    num_gpus = torch.cuda.device_count()
    name = torch.cuda.get_device_name(0) if num_gpus else "no GPU"
    print(f"{num_gpus} GPUs ({name}), torch {torch.__version__}, shape {options.shape}")
    print(f"{options.processes} processes x {options.batch} rows of {options.length} tokens")
    print("sharded   s/step   tokens/s   peak GiB   layers held MiB   load s   last loss")
    found = []
    for mode in MODES:
        this = ["tests.benchmarks.sharding", *sys.argv[1:], "--model-dir", str(model_dir)]
        try:
            one = measure([*this, "--one", mode], options.processes)
        except RuntimeError as error:
            reason = "out of memory" if "OutOfMemoryError" in str(error) else str(error)
            print(f"{mode:>7}   did not train: {reason}", flush=True)
            continue
        found.append(one)
        print(
            f"{mode:>7} {one['seconds']:8.3f} {one['tokens_per_second']:10.0f} "
            f"{one['peak_gib']:10.2f} {one['held_mib']:17.2f} {one['load_seconds']:8.1f} "
            f"{one['losses'][-1]:11.4f}",
            flush=True,
        )
    if len(found) == len(MODES):
        whole, sharded = found
        pairs = zip(whole["losses"], sharded["losses"], strict=True)
        print(f"largest difference of a loss: {max(abs(a - b) for a, b in pairs):.2e}")
        print(f"adapter: {'the same' if whole['adapter'] == sharded['adapter'] else 'other'} bytes")


if __name__ == "__main__":
    given = _options()
    if given.one:
        measured_here = train(given)
        if measured_here:
            tell(measured_here)
    else:
        with tempfile.TemporaryDirectory() as folder_of_model:
            build(Path(folder_of_model), given.shape)
            main(given, Path(folder_of_model))

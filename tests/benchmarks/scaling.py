"""How speed grows with the number of GPUs: tokens a second in 1, 2 and 4 processes, and the ratios.

`python -m tests.benchmarks.scaling [MODEL_DIR]` trains on rows of random tokens that are all of one
length, so that every process has the same work, and each world size in turn with the same batch on
each device. The weights may be random: speed depends on their shape alone. Without MODEL_DIR it is
the tests' tiny model, which shows that the program works and nothing about GPUs. Needs no network.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig

ROOT = Path(__file__).parents[2]
NUM_WARM_STEPS = 3
_MEASURED = "MEASURED "


def measure(arguments: list[str], num_processes: int) -> dict[str, Any]:
    """Runs a benchmark in processes of their own and returns what the main one has measured.

    Args:
        arguments: Its module and what it is to be given.
        num_processes: How many.

    Raises:
        RuntimeError: It failed; the message is the end of what it said.
    """
    this = ["-m", *arguments]
    several = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    launched = [*several, f"--nproc-per-node={num_processes}"] if num_processes > 1 else []
    inherited = os.environ.get("PYTHONPATH")
    done = subprocess.run(
        [sys.executable, *launched, *this],
        cwd=ROOT,
        env={
            "OMP_NUM_THREADS": "1",
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *([inherited] if inherited else [])]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    [line] = [one for one in done.stdout.splitlines() if one.startswith(_MEASURED)]
    measured: dict[str, Any] = json.loads(line.removeprefix(_MEASURED))
    return measured


def tell(measured: dict[str, Any]) -> None:
    """Tells the process that measures, which `measure` started, what was found."""
    print(_MEASURED + json.dumps(measured), flush=True)


def train(options: argparse.Namespace) -> dict[str, float]:
    """One training in this process, and the others of its world size."""
    import torch

    from medqlora.domain.events import StepLogged
    from medqlora.models.loader import engine_for
    from medqlora.training.distributed import join
    from medqlora.training.trainer import QLoRATrainer

    join(options.one)
    has_gpu = torch.cuda.is_available()
    config = QLoRAConfig(
        EMBEDDED_MODEL,
        max_steps=options.steps,
        per_device_train_batch_size=options.batch,
        gradient_accumulation_steps=options.accumulation,
        max_seq_length=options.length,
        num_processes=options.one,
        gradient_checkpointing=has_gpu,
        optim="adamw_8bit" if has_gpu else "adamw_torch",
        engine=options.engine,
    )
    engine = engine_for(config)
    loaded = engine.load_base(str(options.model_dir), config)
    rows = random_rows(config, num_words=loaded.model.config.vocab_size)
    ended: list[float] = []
    losses: list[float] = []

    def note(event: Any) -> None:
        if isinstance(event, StepLogged):
            ended.append(time.monotonic())
            losses.append(event.loss)

    with tempfile.TemporaryDirectory() as folder:
        QLoRATrainer(
            engine.attach_adapter(loaded.model, config),
            loaded.tokenizer,
            config.training_arguments(Path(folder), num_entries=len(rows)),
            engine=engine,
            max_seq_length=config.max_seq_length,
            sink=note,
        ).train(rows)
    peak = torch.cuda.max_memory_reserved() / 2**30 if has_gpu else 0.0
    if not ended:  # only the main process is told of steps
        return {}
    seconds = median([b - a for a, b in pairwise(ended)][NUM_WARM_STEPS:])
    tokens = config.effective_batch_size * config.max_seq_length
    return {
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "peak_gib": peak,
        "last_loss": losses[-1],
    }


def random_rows(config: QLoRAConfig, *, num_words: int) -> Any:
    """Full-length rows of random tokens for two epochs at most."""
    import torch
    from datasets import Dataset

    numbers = torch.Generator().manual_seed(config.seed)
    num_rows = max(config.effective_batch_size * config.max_steps // 2, 1)
    shape = (num_rows, config.max_seq_length)
    ids = torch.randint(num_words, shape, generator=numbers).tolist()
    return Dataset.from_dict({"input_ids": ids, "labels": ids})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scaling")
    add = parser.add_argument
    add("model_dir", nargs="?", type=Path)
    add("--world-sizes", default="1,2,4", help="those that the GPUs suffice for are measured")
    add("--steps", type=int, default=13, help=f"the first {NUM_WARM_STEPS + 1} do not count")
    add("--batch", type=int, default=4, help="rows a device and pass")
    add("--accumulation", type=int, default=1)
    add("--length", type=int, default=512, help="tokens a row")
    add("--engine", default="transformers", choices=("transformers", "unsloth"))
    add("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    """Measures each world size and prints the ratios to the first."""
    import torch

    num_gpus = torch.cuda.device_count()
    asked = [int(one) for one in options.world_sizes.split(",")]
    sizes = [one for one in asked if one <= (num_gpus or 2)]
    name = torch.cuda.get_device_name(0) if num_gpus else "no GPU"
    print(f"{num_gpus} GPUs ({name}), torch {torch.__version__}, engine {options.engine}")
    print(f"{options.batch} x {options.accumulation} rows of {options.length} tokens a device")
    print("processes   s/step   tokens/s   ratio   efficiency   peak GiB   last loss")
    first = 0.0
    for size in sizes:
        one = measure(["tests.benchmarks.scaling", *sys.argv[1:], "--one", str(size)], size)
        first = first or one["tokens_per_second"] / size
        ratio = one["tokens_per_second"] / first
        print(
            f"{size:9} {one['seconds']:8.3f} {one['tokens_per_second']:10.0f} {ratio:7.2f} "
            f"{ratio / size:11.0%} {one['peak_gib']:10.2f} {one['last_loss']:11.3f}",
            flush=True,
        )


if __name__ == "__main__":
    given = _options()
    if given.one:
        measured_here = train(given)
        if measured_here:
            tell(measured_here)
    elif given.model_dir:
        main(given)
    else:
        from tests.tiny_model import build_tiny_model

        with tempfile.TemporaryDirectory() as tiny:
            build_tiny_model(Path(tiny))
            sys.argv.append(tiny)
            given.model_dir = Path(tiny)
            main(given)

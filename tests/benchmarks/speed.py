"""Speed of training a model of a real shape on a GPU: the app's way, Unsloth's recipe, plain TRL.

`python -m tests.benchmarks.speed FOLDER ROWS [RECIPE ...]` takes the checkpoint in FOLDER (one is
made when there is none, of the shape that is its name) and the file ROWS in any format that the app
reads, trains a few steps with each recipe in a process of its own, one after the other, and prints
a line for each: samples a second, the peak, and how often faster than the first recipe. A recipe
may end in `@GIB`: then the card is made to refuse what one with so much memory would.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from tests.benchmarks import shapes

ROOT = Path(__file__).parents[2]
SAMPLES_A_STEP = 64
MICRO_BATCH = 2
STEPS, WARM_UP = 7, 2
LENGTH = 2048

# The ways that the others' notebooks and documentation show, as ours can be told to train.
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {
        "engine": "transformers",
        "padding_free": False,
        "auto_find_batch_size": False,
        "max_steps": 4,
    },
    "unsloth": {"engine": "unsloth", "auto_find_batch_size": False, "max_steps": 5},
    "ours": {"engine": "auto"},
}


def config_of(recipe: str) -> QLoRAConfig:
    """The settings of a recipe, with 64 entries a step."""
    common: dict[str, Any] = {
        "per_device_train_batch_size": MICRO_BATCH,
        "gradient_accumulation_steps": SAMPLES_A_STEP // MICRO_BATCH,
        "max_seq_length": LENGTH,
        "max_steps": STEPS,
        "optim": "adamw_8bit",
        "save_minutes": 0.0,
        "gradient_checkpointing": True,
    }
    return QLoRAConfig(EMBEDDED_MODEL).changed(**{**common, **RECIPES[recipe]})


def measure(checkpoint: Path, rows: Path, recipe: str, cap_gib: float) -> dict[str, Any]:
    """Trains with one recipe in this process."""
    from medqlora.data.loader import MedicalDatasetLoader
    from medqlora.data.tokenizer import MedicalTokenizer
    from medqlora.domain.events import (
        Event,
        ParametersAdjusted,
        PhaseChanged,
        RunWarned,
        StepLogged,
    )
    from medqlora.models.engine_choice import choose_engine

    config = config_of(recipe)
    engine = choose_engine(config).engine
    import torch
    from datasets import Dataset

    from medqlora.training.trainer import QLoRATrainer

    if cap_gib and torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(cap_gib * 2**30 / total)
    loaded = engine.load_base(str(checkpoint), config)
    encode = MedicalTokenizer(loaded.tokenizer, max_seq_length=LENGTH).encode_all
    data = Dataset.from_list([*encode(MedicalDatasetLoader().read(rows).entries)])
    config, limit_gib = _fitted(config, loaded, engine.name, data, cap_gib)
    ended: list[float] = []
    said: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, StepLogged):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ended.append(time.monotonic())
        elif isinstance(event, RunWarned):
            said.append(event.message)
        elif isinstance(event, ParametersAdjusted):
            said.append(event.adjustments[0].reason)
        elif isinstance(event, PhaseChanged):
            said.append(event.phase)

    with tempfile.TemporaryDirectory() as folder:
        QLoRATrainer(
            engine.attach_adapter(loaded.model, config),
            loaded.tokenizer,
            config.training_arguments(Path(folder), num_entries=len(data)),
            engine=engine,
            sink=listen,
            probe_limit_gib=limit_gib,
        ).train(data)
    seconds = statistics.median(b - a for a, b in pairwise(ended[WARM_UP:]))
    tokens = sum(len(row["input_ids"]) for row in data) / len(data) * SAMPLES_A_STEP
    parameters = sum(one.numel() for one in loaded.model.parameters())
    return {
        "recipe": recipe,
        "cap_gib": cap_gib,
        "engine": engine.name,
        "samples_per_second": round(SAMPLES_A_STEP / seconds, 2),
        "tokens_per_second": round(tokens / seconds),
        "step_seconds": round(seconds, 3),
        "peak_gib": round(torch.cuda.max_memory_reserved() / 2**30, 2)
        if torch.cuda.is_available()
        else 0.0,
        "micro_batch": config.per_device_train_batch_size,
        "checkpointing": config.gradient_checkpointing,
        "stored_parameters": parameters,
        "said": said,
    }


def _fitted(
    config: QLoRAConfig, loaded: Any, engine: str, data: Any, cap_gib: float
) -> tuple[QLoRAConfig, float | None]:
    """The settings as a run would begin with them on this card, and what its probe may hold."""
    import torch

    from medqlora.models.memory_forecast import shape_of
    from medqlora.training.batch_fitting import USABLE_SHARE, fitted_batch
    from medqlora.training.probe import row_tokens

    if not config.auto_find_batch_size or not torch.cuda.is_available():
        return config, None
    limit = USABLE_SHARE["gpu"] * (
        cap_gib or torch.cuda.get_device_properties(0).total_memory / 2**30
    )
    shape = shape_of(loaded.model.config.to_dict())
    assert shape is not None
    changes = fitted_batch(
        config,
        shape,
        limit_gib=limit,
        engine=engine,
        row_tokens=row_tokens(data),
        may_raise=True,
    )
    return config.changed(**{one.name: one.new for one in changes}), limit


def main(checkpoint: Path, rows: Path, recipes: Sequence[str]) -> None:
    """Measures one recipe after the other and prints."""
    if not (checkpoint / "config.json").exists():
        shapes.build(checkpoint, checkpoint.name, text=rows)
    command = [sys.executable, "-m", "tests.benchmarks.speed", str(checkpoint), str(rows), "--one"]
    first = 0.0
    for name in recipes:
        done = subprocess.run(
            [*command, name], cwd=ROOT, capture_output=True, text=True, check=False
        )
        lines = [one for one in done.stdout.splitlines() if one.startswith("MEASURED ")]
        if not lines:
            print(f"{name} failed:\n{(done.stdout + done.stderr)[-1500:]}", flush=True)
            continue
        found = json.loads(lines[0].removeprefix("MEASURED "))
        first = first or found["samples_per_second"]
        ratio = found["samples_per_second"] / first
        print(f"{name:14} x{ratio:.2f} {json.dumps(found)}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    place, file, *rest = sys.argv[1:]
    if rest[:1] == ["--one"]:
        recipe, _, cap = rest[1].partition("@")
        print("MEASURED " + json.dumps(measure(Path(place), Path(file), recipe, float(cap or 0))))
    else:
        main(Path(place), Path(file), rest or ["unsloth", "ours"])

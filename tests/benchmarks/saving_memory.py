"""Speed and memory of training the embedded model, with each way to save memory and each engine.

`python -m tests.benchmarks.saving_memory [STEPS]` trains on rows of the sample, each configuration
in a process of its own, and prints a line for each: seconds a step after the first, the peak of the
process's memory (of torch's, on a GPU) and what the memory forecast had said.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig

ROOT = Path(__file__).parents[2]
BASE = QLoRAConfig(
    EMBEDDED_MODEL,
    per_device_train_batch_size=4,
    gradient_accumulation_steps=1,
    max_seq_length=256,
)
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "nf4": {},
    "nf4, gradient checkpointing": {"gradient_checkpointing": True},
    "nf4, batch 1 x 4": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4},
    "16 bits": {"quantization": "none"},
    "nf4, Unsloth": {"engine": "unsloth"},
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one training took.

    Attributes:
        seconds_per_step: Median of the steps after the first.
        peak_gib: Largest memory of the process, or of torch on a GPU.
        forecast_gib: What the forecast said before.
    """

    seconds_per_step: float
    peak_gib: float
    forecast_gib: float


def measure(models_dir: Path, changes: dict[str, Any], *, steps: int) -> Measurement:
    """Trains in a process of its own, so that no configuration inherits another's memory."""
    command = [sys.executable, "-m", "tests.benchmarks.saving_memory", "--one", str(models_dir)]
    done = subprocess.run(
        [*command, json.dumps({**changes, "max_steps": steps})],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [line] = [one for one in done.stdout.splitlines() if one.startswith("MEASURED ")]
    return Measurement(**json.loads(line.removeprefix("MEASURED ")))


def train(models_dir: Path, changes: dict[str, Any]) -> Measurement:
    """One training in this process."""
    from medqlora.domain.events import StepLogged
    from medqlora.models.loader import QuantizedModelLoader
    from medqlora.models.memory_forecast import forecast, shape_of
    from medqlora.training.trainer import QLoRATrainer

    config = BASE.changed(engine="transformers").changed(**changes)
    loader = QuantizedModelLoader(models_dir=models_dir)
    engine = loader.choose_engine(config).engine
    loaded = loader.load(config, engine=engine)
    shape = shape_of(loaded.model.config.to_dict())
    assert shape is not None
    ended: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        QLoRATrainer(
            engine.attach_adapter(loaded.model, config),
            loaded.tokenizer,
            config.training_arguments(Path(folder), num_entries=64),
            engine=engine,
            max_seq_length=config.max_seq_length,
            sink=lambda event: (
                ended.append(time.monotonic()) if isinstance(event, StepLogged) else None
            ),
        ).train(_rows())
    seconds = sorted(b - a for a, b in pairwise(ended))
    return Measurement(
        seconds_per_step=seconds[len(seconds) // 2],
        peak_gib=_peak_gib(),
        forecast_gib=forecast(shape, config).total_gib,
    )


def _rows() -> Any:
    """Rows that fill 256 tokens, so that every configuration does the same work."""
    from datasets import Dataset

    from medqlora.data.loader import MedicalDatasetLoader, sample_path

    entries = MedicalDatasetLoader().read(sample_path()).entries[:64]
    return Dataset.from_list(
        [{"question": one.question, "answer": f"{one.answer} " * 8} for one in entries]
    )


def _peak_gib() -> float:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(steps: int) -> None:
    """Measures and prints."""
    from medqlora.models import embedded

    with tempfile.TemporaryDirectory() as folder:
        embedded.unpack(Path(folder), on_progress=lambda phase, share: None)
        print(f"{'':28} s/step  peak GiB  forecast GiB")
        for name, changes in CONFIGURATIONS.items():
            one = measure(Path(folder), changes, steps=steps)
            memory = f"{one.peak_gib:9.2f} {one.forecast_gib:13.2f}"
            print(f"{name:28} {one.seconds_per_step:6.2f} {memory}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measured = train(Path(sys.argv[2]), json.loads(sys.argv[3]))
        print("MEASURED " + json.dumps(asdict(measured)))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

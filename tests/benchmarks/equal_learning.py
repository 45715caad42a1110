"""Whether rows without padding teach the same: held-out loss after the same number of samples.

`python -m tests.benchmarks.equal_learning ROWS [STEPS [SEED ...]]` trains the embedded model on
questions and answers of ROWS (any format that the app reads; contexts are left out) twice with each
seed, with padding and without, and prints the loss on the same held-out rows before and after, and
how far the two ends are apart. It runs on the CPU, where the app itself always pads.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig

NUM_TRAIN, NUM_HELD_OUT = 256, 24
SEEDS = (1, 2, 3)
CONFIG = QLoRAConfig(EMBEDDED_MODEL).changed(
    engine="transformers",
    per_device_train_batch_size=4,
    gradient_accumulation_steps=1,
    max_seq_length=256,
    learning_rate=1e-3,
    save_minutes=0.0,
)


def losses(models_dir: Path, rows: Path, config: QLoRAConfig, *, pads: bool) -> list[float]:
    """The held-out loss before the first and after the last step of one training."""
    from datasets import Dataset

    from medqlora.data.loader import MedicalDatasetLoader
    from medqlora.data.tokenizer import MedicalTokenizer
    from medqlora.domain.events import EvalLogged, Event, PhaseChanged
    from medqlora.models.loader import QuantizedModelLoader
    from medqlora.training.trainer import QLoRATrainer

    loader = QuantizedModelLoader(models_dir=models_dir)
    engine = loader.choose_engine(config).engine
    loaded = loader.load(config, engine=engine)
    entries = MedicalDatasetLoader().read(rows).entries[: NUM_TRAIN + NUM_HELD_OUT]
    encoder = MedicalTokenizer(loaded.tokenizer, max_seq_length=config.max_seq_length)
    encoded = [*encoder.encode_all(replace(one, context=None) for one in entries)]
    seen: list[float] = []
    said: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, EvalLogged):
            seen.append(event.eval_loss)
        elif isinstance(event, PhaseChanged):
            said.append(event.phase)

    with tempfile.TemporaryDirectory() as folder:
        arguments = config.training_arguments(Path(folder), num_entries=NUM_TRAIN)
        arguments.padding_free = not pads
        # The held-out rows come in the same batches either way.
        trainer = QLoRATrainer(
            engine.attach_adapter(loaded.model, config),
            loaded.tokenizer,
            arguments,
            engine=engine,
            eval_dataset=Dataset.from_list(encoded[:NUM_HELD_OUT]),
            sink=listen,
        )
        trainer.train(Dataset.from_list(encoded[NUM_HELD_OUT:]))
    assert pads or any("cannot see each other" in one for one in said), said
    return [seen[0], seen[-1]]


def main(rows: Path, steps: int, seeds: Sequence[int]) -> None:
    """Measures and prints."""
    from medqlora.models import embedded

    packages = ", ".join(f"{one} {version(one)}" for one in ("torch", "transformers", "trl"))
    print(f"{platform.machine()}, no GPU; {packages}; {4 * steps} samples of {rows.name}")
    apart: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        embedded.unpack(Path(folder), on_progress=lambda phase, share: None)
        for seed in seeds:
            config = CONFIG.changed(seed=seed, max_steps=steps, eval_steps=steps)
            before, padded = losses(Path(folder), rows, config, pads=True)
            _, flat = losses(Path(folder), rows, config, pads=False)
            apart.append(flat / padded - 1)
            print(
                f"seed {seed}: before {before:.4f}, padded {padded:.4f}, without padding "
                f"{flat:.4f}, {apart[-1]:+.3%}",
                flush=True,
            )
    print(f"mean {statistics.fmean(apart):+.3%}, largest {max(map(abs, apart)):.3%}")


if __name__ == "__main__":
    file, *given = sys.argv[1:]
    numbers: list[Any] = [int(one) for one in given]
    main(Path(file), numbers[0] if numbers else 16, numbers[1:] or SEEDS)

"""What a mirror costs a run and how soon a checkpoint is safe: `python -m tests.benchmarks.mirror`.

One run of the embedded model on the sample, with the mirror off and on by turns, so that both see
the same machine. Steps after which something is saved or measured are left out of the step times.
The medians of the turns (off, on, off, ...) show how noisy the machine is. Prints one JSON object;
seconds throughout.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import CheckpointSaved, StepLogged
from medqlora.domain.preparing import Choices
from medqlora.services import Services

TURN_STEPS = 10
SAVE_STEPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--mirror", help="folder or URL; a folder of this machine by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="medqlora-benchmark-") as folder:
        print(json.dumps(measure(Path(folder), options.steps, options.mirror), indent=1))


def measure(folder: Path, steps: int, mirror: str | None) -> dict[str, object]:
    services = Services.open(folder / "workspace")
    place = mirror or str(folder / "mirror")
    card = services.datasets.prepare(None, choices=Choices(eval_share=0.01))
    config = QLoRAConfig(
        EMBEDDED_MODEL,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=1,
        max_steps=steps,
        save_steps=SAVE_STEPS,
        max_seq_length=128,
    )
    run_id = services.training.start(config, card.dataset_id)
    mirrored: dict[int, bool] = {}
    safe_at: dict[int, float] = {}
    while (snapshot := services.training.snapshot(run_id)).is_live:
        step = snapshot.last_step.step if snapshot.last_step else 0
        if step not in mirrored:
            is_on = step // TURN_STEPS % 2 == 1
            if is_on != services.mirror.is_set():
                services.mirror.configure(place if is_on else "off")
                services.mirror.ensure()
            mirrored[step] = is_on
        state = services.mirror.state(run_id)
        if state and state.is_safe and state.step:
            safe_at.setdefault(state.step, time.time())
        time.sleep(0.05)
    services.mirror.configure("off")
    events = services.training.directory(run_id).read_events()
    times: dict[bool, list[float]] = {True: [], False: []}
    turns: dict[int, list[float]] = {}
    logged = [one for one in events if isinstance(one, StepLogged)]
    for before, after in pairwise(logged):
        if before.step % SAVE_STEPS:  # else something was saved and measured in between
            took = (after.at - before.at).total_seconds()
            times[mirrored.get(before.step, False)].append(took)
            turns.setdefault(before.step // TURN_STEPS, []).append(took)
    saved = {one.step: one for one in events if isinstance(one, CheckpointSaved)}
    delays = [at - saved[step].at.timestamp() for step, at in safe_at.items() if step in saved]
    return {
        "state": snapshot.state,
        "steps": len(logged),
        "checkpoint_mb": max(one.size_bytes for one in saved.values()) / 2**20,
        "step_without": statistics.median(times[False]),
        "step_with": statistics.median(times[True]),
        "ratio": statistics.median(times[True]) / statistics.median(times[False]),
        "medians_by_turn": [round(statistics.median(one), 2) for one in turns.values()],
        "num_without": len(times[False]),
        "num_with": len(times[True]),
        "safe_after": [round(one, 2) for one in sorted(delays)],
    }


if __name__ == "__main__":
    main()

"""Speed of training: the app's default beside plain TRL and the bare Unsloth recipe, as ratios.

`python -m tests.benchmarks.training [FOLDER [ROWS [CONTENDER ...]]]` builds a checkpoint of the
shape that FOLDER is called (`tests.benchmarks.shapes`; `tiny` when none is given) where there is
none, and only then times a few steps of each contender on ROWS (else the sample), each in a process
of its own, one after the other. It prints versions, the card, a line for each with its samples a
second, peak and ratio to the first, and what our events, samples and checkpoints cost: the app's
step over the same step of a bare script, both measured twice, by turns. A contender may end in
`@GIB`: then the card refuses what one with so much memory would; and in `/float16`: then it
computes as a card without bfloat16 does.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from medqlora.data.loader import sample_path
from medqlora.models.memory_reading import detect_gpu
from tests.benchmarks import shapes
from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.task import Measured, Task

ROOT = Path(__file__).parents[2]
PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "unsloth")
WITH_GPU = ("plain", "unsloth", "ours", "same", "ours", "same")
WITHOUT_GPU = ("plain", "ours", "same", "ours", "same")
SLOW, FEW_STEPS = ("plain",), 4  # the lent machines are lent for minutes


def main(folder: Path, rows: Path, names: Sequence[str]) -> None:
    """Builds the checkpoint, measures one contender after the other, and prints."""
    has_gpu = detect_gpu() is not None
    if not (folder / "config.json").exists():
        print(f"Building a checkpoint of the shape {folder.name}", flush=True)
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.training", "--build", folder, rows],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
    task = Task(
        checkpoint=folder, rows=rows, samples=64 if has_gpu else 8, steps=7 if has_gpu else 12
    )
    print(_heading(task))
    found: dict[str, list[Measured]] = {}
    settings: Mapping[str, Any] = {}
    for name in names:
        contender, its_task = _asked(name, task)
        one = _in_a_process(contender, its_task, settings)
        if one is None:
            continue
        settings = one.settings or settings
        found.setdefault(name, []).append(one)
        ratio = next(iter(found.values()))[0].median / one.median
        print(
            f"{name:12} {task.samples / one.median:8.2f} samples/s  x{ratio:.2f}"
            f"  step {one.median:.3f} s  peak {one.peak_gib:.2f} GiB"
            f"  loss {one.losses[0]:.3f} to {one.losses[-1]:.3f}  {dict(one.settings) or ''}",
            flush=True,
        )
    for name in found:
        bare = name.replace("ours", "same")
        if bare != name and bare in found:
            _say_tax(name, found[name], found[bare])


def _asked(name: str, task: Task) -> tuple[str, Task]:
    """A contender and its task, from what was typed."""
    before, _, dtype = name.partition("/")
    contender, _, cap = before.partition("@")
    steps = min(task.steps, FEW_STEPS) if contender in SLOW else task.steps
    changed = replace(task, cap_gib=float(cap or 0), compute_dtype=dtype or "auto", steps=steps)
    return contender, changed


def _say_tax(name: str, ours: Sequence[Measured], bare: Sequence[Measured]) -> None:
    medians = [
        statistics.median(second for one in measured for second in one.step_seconds)
        for measured in (ours, bare)
    ]
    by_turn = [f"{one.median:.3f}" for one in (*ours, *bare)]
    ratio = medians[0] / medians[1]
    print(f"step of {name} over a bare script's: {ratio:.3f} (medians by turn {by_turn})")


def _heading(task: Task) -> str:
    gpu = detect_gpu()
    card = (
        f"{gpu.name}, {gpu.total_gib:.1f} GiB"
        if gpu
        else f"no GPU ({platform.machine()}, {os.cpu_count()} cores): this only shows that the "
        "program works, and says nothing of speed on a card"
    )
    return (
        f"{card}; Python {platform.python_version()}, "
        + ", ".join(f"{one} {_version(one)}" for one in PACKAGES)
        + f"; {task.checkpoint.name}, {task.samples} samples a step, {task.rows.name}"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _in_a_process(name: str, task: Task, settings: Mapping[str, Any]) -> Measured | None:
    given = json.dumps({**asdict(task), "settings": dict(settings)}, default=str)
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.training", "--one", name, given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [one for one in done.stdout.splitlines() if one.startswith("MEASURED ")]
    if not lines:
        print(f"{name} failed:\n{(done.stdout + done.stderr)[-1500:]}", flush=True)
        return None
    return Measured(**json.loads(lines[0].removeprefix("MEASURED ")))


def _one(name: str, given: str) -> None:
    about = json.loads(given)
    settings = about.pop("settings")
    paths = {key: Path(about[key]) for key in ("checkpoint", "rows")}
    found = CONTENDERS[name](Task(**{**about, **paths}), settings)
    print("MEASURED " + json.dumps(asdict(found)))


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    given = sys.argv[1:]
    if given[:1] == ["--one"]:
        _one(*given[1:])
    elif given[:1] == ["--build"]:
        place = Path(given[1])
        shapes.build(place, place.name, text=Path(given[2]))
    else:
        usual = WITH_GPU if detect_gpu() else WITHOUT_GPU
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(given[0]) if given else Path(temporary) / "tiny"
            file = Path(given[1]) if given[1:] else sample_path()
            main(place.resolve(), file.resolve(), given[2:] or usual)

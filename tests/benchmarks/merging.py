"""Time and memory of merging an adapter: file by file as the app does, and the whole model by PEFT.

`python -m tests.benchmarks.merging [SHAPE [GB]]` writes a model of a shape of `shapes` in files of
so many GB (llama-1b in files of 0.5 without anything said), puts an adapter of rank 16 on all
layers, and merges it each way in a process of its own. It prints seconds, the peak of the process's
memory beyond what importing takes, both ways, and how many numbers of the two models differ.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from medqlora.config.qlora import TARGET_MODULES
from medqlora.models.merging import merge
from medqlora.models.model_files import silent
from tests.benchmarks import shapes

ROOT = Path(__file__).parents[2]
_GIB_IN_KIB = 2**20


def by_file(base: Path, adapter: Path, target: Path) -> None:
    """The app's way."""
    merge(adapter, base, target, on_progress=silent)


def by_peft(base: Path, adapter: Path, target: Path) -> None:
    """PEFT's way, which the app's has to agree with."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().save_pretrained(target)


WAYS = {"file by file": by_file, "PEFT, whole": by_peft}


def make(folder: Path, shape: str, gigabytes: str) -> tuple[Path, Path]:
    """A base model in several files, and an adapter on it that changes every layer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    whole, base, adapter = folder / "whole", folder / "base", folder / "adapter"
    shapes.build(whole, shape)
    model: Any = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.bfloat16)
    model.save_pretrained(base, max_shard_size=f"{gigabytes}GB")
    settings = LoraConfig(
        r=16, lora_alpha=32, target_modules=list(TARGET_MODULES), task_type="CAUSAL_LM"
    )
    tuned = get_peft_model(model, settings)
    for name, weights in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.02)
    tuned.save_pretrained(str(adapter))
    return base, adapter


def peak_gib() -> float:
    """Largest memory of this process so far.

    Not getrusage's, which a process inherits from the one that started it.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    [line] = [one for one in status.splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) / _GIB_IN_KIB


def one(way: str, base: str, adapter: str, target: str) -> None:
    """Merges in this process and prints what it took."""
    import peft  # noqa: F401
    import transformers  # noqa: F401

    before, begun = peak_gib(), time.perf_counter()
    WAYS[way](Path(base), Path(adapter), Path(target))
    took = time.perf_counter() - begun
    print(f"{way}: {took:.0f} s, {peak_gib() - before:.2f} GiB", flush=True)


def share_apart(ours: Path, theirs: Path) -> float:
    """Share of the numbers that are not the same in two models."""
    from safetensors import safe_open

    files = {name: file for file in theirs.glob("*.safetensors") for name in _names(file)}
    differing = total = 0
    for file in ours.glob("*.safetensors"):
        with safe_open(file, framework="pt") as mine:
            for name in _names(file):
                with safe_open(files[name], framework="pt") as other:
                    differing += int((mine.get_tensor(name) != other.get_tensor(name)).sum())
                total += mine.get_tensor(name).numel()
    return differing / total


def _names(file: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        return list(opened.keys())


def main(shape: str = "llama-1b", gigabytes: str = "0.5") -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        base, adapter = make(folder, shape, gigabytes)
        files = [file.stat().st_size / 2**30 for file in base.glob("*.safetensors")]
        print(f"{shape}: {sum(files):.2f} GiB in {len(files)} files, largest {max(files):.2f} GiB")
        for number, way in enumerate(WAYS):
            command = [sys.executable, "-m", "tests.benchmarks.merging", "--one", way]
            places = [str(base), str(adapter), str(folder / str(number))]
            subprocess.run([*command, *places], cwd=ROOT, check=True)
        print(f"numbers that differ: {share_apart(folder / '0', folder / '1'):.2%}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:])
    else:
        main(*sys.argv[1:])

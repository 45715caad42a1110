"""Breaks a worker from within, in the way that the environment variable INJECTED_FAULT says.

Python imports this by itself in a process whose PYTHONPATH has this folder. The product does not
know of it. A fault is JSON: {"kind": ..., and what it needs}; `tests.faults.faults` describes them.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

FAULT: dict[str, Any] = json.loads(os.environ.get("INJECTED_FAULT", "{}"))
Change = Callable[[ModuleType], None]


class AfterImport(importlib.abc.MetaPathFinder):
    """Changes a module as soon as it was imported."""

    def __init__(self, name: str, change: Change) -> None:
        self.name, self.change = name, change

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self.change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def before_each_step(act: Callable[[Any, Any], None]) -> Change:
    """Calls `act(trainer, inputs)` before each forward pass of training."""

    def change(module: ModuleType) -> None:
        original = module.Trainer.training_step

        def training_step(self: Any, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
            act(self, inputs)
            return original(self, model, inputs, *rest, **named)

        module.Trainer.training_step = training_step

    return change


def out_of_memory(trainer: Any, inputs: Any) -> None:
    """More rows at once, longer rows or more weights than fit: an allocation that cannot be."""
    import torch

    rows, length = inputs["input_ids"].shape
    rank = trainer.model.peft_config["default"].r
    is_too_much = (
        rows > FAULT.get("rows", 10**6) or length > FAULT.get("length", 10**6)
    ) or rank > FAULT.get("rank", 10**6)
    if is_too_much and trainer.state.global_step + 1 >= FAULT.get("step", 1):
        if FAULT.get("where") == "gpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        torch.empty(2**55)


def card_lost(trainer: Any, inputs: Any) -> None:
    """The card falls off the bus at a step, in torch's own words."""
    if trainer.state.global_step + 1 == FAULT["step"]:
        raise RuntimeError("CUDA error: unspecified launch failure")


def poison(trainer: Any, inputs: Any) -> None:
    """A weight that is not a number, from the step on that is named."""
    if trainer.state.global_step + 1 == FAULT["step"]:
        named = [(n, w) for n, w in trainer.model.named_parameters() if "lora_B" in n]
        named[0][1].data[0, 0] = float(FAULT.get("value", "nan"))


def poison_gradient(module: ModuleType) -> None:
    """A gradient that is infinite at one step, with a loss that is fine."""
    original = module.Trainer.training_step

    def training_step(self: Any, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        loss = original(self, model, inputs, *rest, **named)
        if self.state.global_step + 1 == FAULT["step"]:
            weight = next(w for n, w in self.model.named_parameters() if "lora_B" in n)
            weight.grad[0, 0] = float("inf")
        return loss

    module.Trainer.training_step = training_step


def masked_labels(module: ModuleType) -> None:
    """Every label is left out, as a tokenizer with a mistake would do it."""
    original = module.Trainer.training_step

    def training_step(self: Any, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        inputs["labels"][:] = -100
        return original(self, model, inputs, *rest, **named)

    module.Trainer.training_step = training_step


def killed_in_save(module: ModuleType) -> None:
    """kill -9 the moment a file is there in the staging folder, in the n-th save of the process."""
    original = module.Trainer._save_checkpoint
    seen = {"saves": 0}

    def is_there(folder: str) -> bool:
        found = {p.name for p in Path(folder).rglob("*")} if os.path.isdir(folder) else set()
        return FAULT["file"] in found

    def save(self: Any, *arguments: Any, **named: Any) -> Any:
        seen["saves"] += 1
        if seen["saves"] != FAULT["save"]:
            return original(self, *arguments, **named)
        folder = self.args.output_dir

        def watch(frame: Any, event: str, argument: Any) -> None:
            if is_there(folder):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(watch)
        try:
            return original(self, *arguments, **named)
        finally:
            sys.setprofile(None)

    module.Trainer._save_checkpoint = save


def killed_in_commit(module: ModuleType) -> None:
    """kill -9 at one moment of making the staged checkpoint a whole one, in the n-th save."""
    original = module.CheckpointManager.commit
    seen = {"saves": 0}

    def commit(self: Any, step: int) -> Any:
        seen["saves"] += 1
        if seen["saves"] != FAULT["save"]:
            return original(self, step)

        def watch(frame: Any, event: str, argument: Any) -> None:
            name = frame.f_code.co_name if event != "c_call" else argument.__name__
            if event == FAULT["event"] and name == FAULT["function"]:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(watch)
        try:
            return original(self, step)
        finally:
            sys.setprofile(None)

    module.CheckpointManager.commit = commit


def disk_fills_in_save(module: ModuleType) -> None:
    """Somebody else fills the disk when the n-th save has begun."""
    original = module.Trainer._save_checkpoint
    seen = {"saves": 0}

    def save(self: Any, *arguments: Any, **named: Any) -> Any:
        seen["saves"] += 1
        if seen["saves"] == FAULT["save"]:
            with open(FAULT["path"], "wb", buffering=0) as filler:
                try:
                    while filler.write(bytes(4096)):
                        pass
                except OSError:
                    print("filled", file=sys.stderr)
        return original(self, *arguments, **named)

    module.Trainer._save_checkpoint = save


def little_memory(trainer: Any, inputs: Any) -> None:
    """From the first step on the process may take only so much more than it has."""
    import resource

    if trainer.state.global_step + 1 == FAULT["step"] and not FAULT.get("is_set"):
        FAULT["is_set"] = True
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + FAULT["more_mib"] * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def memory_short_in_loading(module: ModuleType) -> None:
    """Weights that are not stored in 4 bits, or any, are an allocation that cannot be."""
    original = module.PreTrainedModel.from_pretrained.__func__

    def from_pretrained(cls: Any, *arguments: Any, **named: Any) -> Any:
        import torch

        if FAULT["fits"] != "4 bits" or named.get("quantization_config") is None:
            if FAULT.get("where") == "gpu":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            torch.empty(2**55)
        return original(cls, *arguments, **named)

    module.PreTrainedModel.from_pretrained = classmethod(from_pretrained)


def memory_short_in_asking(module: ModuleType) -> None:
    """More rows at once than fit, each question being two: an allocation that cannot be."""
    original = module.GenerationMixin.generate

    def generate(self: Any, *arguments: Any, **named: Any) -> Any:
        import torch

        if named["input_ids"].shape[0] > FAULT["rows"]:
            torch.empty(2**55)
        return original(self, *arguments, **named)

    module.GenerationMixin.generate = generate


CHANGES: dict[str, tuple[str, Change]] = {
    "out_of_memory": ("transformers.trainer", before_each_step(out_of_memory)),
    "memory_short_in_loading": ("transformers.modeling_utils", memory_short_in_loading),
    "memory_short_in_asking": ("transformers.generation.utils", memory_short_in_asking),
    "little_memory": ("transformers.trainer", before_each_step(little_memory)),
    "card_lost": ("transformers.trainer", before_each_step(card_lost)),
    "poison": ("transformers.trainer", before_each_step(poison)),
    "poison_gradient": ("transformers.trainer", poison_gradient),
    "masked_labels": ("transformers.trainer", masked_labels),
    "killed_in_save": ("transformers.trainer", killed_in_save),
    "killed_in_commit": ("medqlora.persistence.checkpoints", killed_in_commit),
    "disk_fills_in_save": ("transformers.trainer", disk_fills_in_save),
}

WORKERS = {"medqlora.runs.worker", "medqlora.runs.chat_worker"}
if FAULT and sys.argv[0] == "-m" and WORKERS & {*sys.orig_argv}:
    sys.meta_path.insert(0, AfterImport(*CHANGES[FAULT["kind"]]))

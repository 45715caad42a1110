"""ColabResourceDetector: what this machine has, and what follows from it.

It needs no torch and loads nothing.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import psutil

from medqlora.domain.resources import Choice, EnvironmentConfig, GPUInfo
from medqlora.errors import NoGpuError
from medqlora.models.engine_choice import OLDEST_CARD
from medqlora.models.memory_reading import detect_gpu, driver_trouble

_GIB = 2**30
_CPU_BF16_FLAG = "avx512_bf16"


class ColabResourceDetector:
    """Looks at the machine, on Colab or anywhere.

    Args:
        workspace: Folder whose free disk space counts.
    """

    def __init__(self, *, workspace: Path | None = None) -> None:
        self._workspace = workspace or Path.home()

    def detect_gpu(self) -> GPUInfo:
        """The GPU.

        Raises:
            NoGpuError: There is none, or its driver does not answer.
        """
        gpu = detect_gpu()
        if gpu is None:
            raise NoGpuError(
                driver_trouble() or "No GPU was found on this machine.",
                hint=(
                    "The embedded model trains without one; on Colab choose Runtime, "
                    "Change runtime type, T4 GPU."
                ),
            )
        return gpu

    def estimate_memory_capacity(self) -> int:
        """Bytes a model and its training may take.

        Of the GPU where there is one, of the free RAM otherwise.
        """
        gpu = detect_gpu()
        return int(gpu.total_gib * _GIB) if gpu else int(psutil.virtual_memory().available)

    def configure_environment(self) -> EnvironmentConfig:
        """The machine and what was chosen for it, each choice with its reason."""
        gpu = detect_gpu()
        dtype, engine = _compute_dtype(gpu), _engine(gpu)
        return EnvironmentConfig(
            gpu=gpu,
            ram_gib=psutil.virtual_memory().total / _GIB,
            num_cpus=len(os.sched_getaffinity(0)),
            free_disk_gib=shutil.disk_usage(self._workspace).free / _GIB,
            is_colab=importlib.util.find_spec("google") is not None
            and importlib.util.find_spec("google.colab") is not None,
            engine=engine.value,
            compute_dtype=dtype.value,
            choices=(
                *_trouble(gpu),
                dtype,
                engine,
            ),
        )


def _trouble(gpu: GPUInfo | None) -> tuple[Choice, ...]:
    trouble = "" if gpu else driver_trouble()
    return (Choice(name="graphics_card", value="none", reason=trouble),) if trouble else ()


def _engine(gpu: GPUInfo | None) -> Choice:
    # What `models.engine_choice` will decide in the worker, as far as the machine decides it.
    value, reason = "transformers", "It runs on every machine; Unsloth is faster on a GPU alone."
    if gpu and gpu.compute_capability < OLDEST_CARD:
        reason = f"{gpu.name} is older than Unsloth's kernels need."
    elif gpu and not all(importlib.util.find_spec(one) for one in ("unsloth", "unsloth_zoo")):
        reason = "Unsloth is not installed; it would be faster on this card."
    elif gpu:
        value, reason = "unsloth", f"It is faster on {gpu.name} and needs less memory."
    return Choice(name="engine", value=value, reason=reason)


def _compute_dtype(gpu: GPUInfo | None) -> Choice:
    if gpu is None:
        has_bf16 = _CPU_BF16_FLAG in Path("/proc/cpuinfo").read_text(
            encoding="utf-8", errors="replace"
        )
        value, reason = (
            ("bfloat16", "No GPU was found, and this processor has instructions for bfloat16.")
            if has_bf16
            else (
                "float32",
                "No GPU was found, and this processor has no instructions for bfloat16.",
            )
        )
    elif gpu.has_bfloat16:
        value, reason = "bfloat16", f"{gpu.name} computes in bfloat16."
    else:
        value, reason = "float16", f"{gpu.name} has no bfloat16."
    return Choice(name="compute_dtype", value=value, reason=reason)

"""Reads memory in use: NVML and torch for a GPU, the process's resident memory otherwise.

One reading, no history: `training.memory` samples over time.
"""

from __future__ import annotations

import os
import sys

import psutil

from medqlora.domain.resources import GPUInfo, MemoryStats

_GIB = 2**30

_NO_CARD = (2, 6, 9, 12)
"""NVML's errors on a machine without a card: no such device (as an argument that is not valid, or
not found), no driver loaded, no library."""

_TROUBLE = (
    "The driver of a graphics card is installed and does not answer; restarting the machine "
    "usually helps."
)


def read_memory() -> MemoryStats:
    """Memory at this moment, of the first GPU where there is one, of this process otherwise."""
    return read_gpu_memory() or read_process_memory()


def read_memory_in_use() -> float:
    """Share of the memory that is taken, by whomever, 0 to 1: the GPU's where there is one.

    For RAM it is the machine's as a whole, because the system ends jobs when that runs out.
    """
    gpu = read_gpu_memory()
    if gpu:
        return gpu.used_share
    ram = psutil.virtual_memory()
    return 1 - ram.available / ram.total


def read_process_memory() -> MemoryStats:
    """Resident memory of this process against the machine's RAM."""
    return MemoryStats(
        source="ram",
        used_gib=psutil.Process(os.getpid()).memory_info().rss / _GIB,
        limit_gib=psutil.virtual_memory().total / _GIB,
    )


def read_gpu_memory() -> MemoryStats | None:
    """Memory of the first GPU as the driver and torch report it, or None without one."""
    import pynvml

    try:
        pynvml.nvmlInit()
        memory = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0))
    except pynvml.NVMLError:
        return None
    allocated, reserved = _torch_memory()
    return MemoryStats(
        source="gpu",
        used_gib=memory.used / _GIB,
        limit_gib=memory.total / _GIB,
        allocated_gib=allocated / _GIB,
        reserved_gib=reserved / _GIB,
    )


def detect_gpu() -> GPUInfo | None:
    """The first GPU as the driver reports it, or None without one; needs no torch."""
    import pynvml

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        name = pynvml.nvmlDeviceGetName(handle)
        return GPUInfo(
            name=name if isinstance(name, str) else name.decode(),
            total_gib=pynvml.nvmlDeviceGetMemoryInfo(handle).total / _GIB,
            compute_capability=tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
            driver_version=str(pynvml.nvmlSystemGetDriverVersion()),
            count=pynvml.nvmlDeviceGetCount(),
        )
    except pynvml.NVMLError:
        return None


def driver_trouble() -> str:
    """What is wrong with a driver that does not answer; empty where nothing is, or no card."""
    import pynvml

    try:
        pynvml.nvmlInit()
        pynvml.nvmlDeviceGetHandleByIndex(0)
    except pynvml.NVMLError as error:
        return "" if error.value in _NO_CARD else _TROUBLE
    return ""


def _torch_memory() -> tuple[int, int]:
    # Only a process that trains has torch loaded; nobody else should pay for importing it.
    torch = sys.modules.get("torch")
    try:
        if torch is None or not torch.cuda.is_available():
            return 0, 0
        return torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    except AttributeError:  # another thread is in the middle of importing it
        return 0, 0

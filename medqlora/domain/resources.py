"""What the machine has and what a run uses of it. Units are in the names; GiB is 1024³ bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FOUR_BITS_FROM = (6, 0)
"""Compute capability from which bitsandbytes 0.50 quantises, and has 8-bit optimizers, as its
documentation says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GPUInfo:
    """A graphics card as the driver reports it.

    Attributes:
        name: Product name, such as "Tesla T4".
        total_gib: Memory the driver reports.
        compute_capability: (major, minor), or (0, 0) when unknown.
        driver_version: Driver version, empty when unknown.
        count: Cards of this machine.
    """

    name: str
    total_gib: float
    compute_capability: tuple[int, int] = (0, 0)
    driver_version: str = ""
    count: int = 1

    @property
    def has_bfloat16(self) -> bool:
        """Whether the card computes in bfloat16 (Ampere, compute capability 8.0, and later)."""
        return self.compute_capability >= (8, 0)

    @property
    def has_four_bits(self) -> bool:
        """Whether bitsandbytes works on the card; true where its age is not known."""
        return not (0, 0) < self.compute_capability < FOUR_BITS_FROM


@dataclass(frozen=True, slots=True)
class ResourceStats:
    """Memory and time of a run at one moment.

    Attributes:
        gpu_memory_used: GiB used on the card, 0.0 without one.
        gpu_memory_total: GiB of the card, 0.0 without one.
        cpu_memory_used: GiB of RAM this process holds.
        training_time_elapsed: Seconds since training began.
        estimated_time_remaining: Seconds to go, or None while unknown.
    """

    gpu_memory_used: float
    gpu_memory_total: float
    cpu_memory_used: float
    training_time_elapsed: float
    estimated_time_remaining: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStats:
    """Memory at one moment, against its limit.

    Attributes:
        source: `gpu` when a card is measured, `ram` otherwise.
        used_gib: NVML's figure for the card, or the process's resident memory.
        limit_gib: The card's memory, or the machine's RAM.
        allocated_gib: What torch holds in tensors on the card, 0.0 without one.
        reserved_gib: What torch has taken from the card, 0.0 without one.
    """

    source: Literal["gpu", "ram"]
    used_gib: float
    limit_gib: float
    allocated_gib: float = 0.0
    reserved_gib: float = 0.0

    @property
    def used_share(self) -> float:
        """Share of the limit in use, 0 to 1."""
        return self.used_gib / self.limit_gib


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A value that was chosen for this machine, with its reason."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentConfig:
    """The machine, and what was chosen for it.

    Attributes:
        gpu: The card, or None.
        ram_gib: RAM of the machine.
        num_cpus: Cores this process may use.
        free_disk_gib: Free space where the workspace lies.
        is_colab: Whether this is a Colab VM.
        engine: `unsloth` or `transformers`.
        compute_dtype: `bfloat16`, `float16` or `float32`.
        choices: Every choice made for this machine with its reason, for the user to read.
    """

    gpu: GPUInfo | None
    ram_gib: float
    num_cpus: int
    free_disk_gib: float
    is_colab: bool
    engine: str
    compute_dtype: str
    choices: tuple[Choice, ...]

"""Fits a run to the machine when it begins: how many entries at once, and what may be tried.

The choice is an event of the run, so that every attempt after the first has the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.events import ParametersAdjusted, RunStarted
from medqlora.models.engine import ModelEngine
from medqlora.models.engine_memory import ENGINES
from medqlora.models.memory_forecast import ModelShape, forecast
from medqlora.models.memory_reading import detect_gpu
from medqlora.runs.job import Job
from medqlora.training.batch_fitting import USABLE_SHARE, fitted_batch
from medqlora.training.distributed import local_world_size
from medqlora.training.memory import MemoryMonitor
from medqlora.training.probe import row_tokens

if TYPE_CHECKING:
    from datasets import Dataset


def usable_gib(monitor: MemoryMonitor) -> float:
    """What one process may take: each has a GPU of its own, and RAM is shared."""
    memory = monitor.sample()
    num_sharing = local_world_size() if memory.source == "ram" else 1
    return memory.limit_gib * USABLE_SHARE[memory.source] / num_sharing


def fitted(
    job: Job,
    config: QLoRAConfig,
    shape: ModelShape | None,
    engine: ModelEngine,
    train: Dataset,
    *,
    limit_gib: float,
) -> QLoRAConfig:
    """The settings with a micro-batch that fits, which is said when it is another.

    Chosen anew only when the run begins: an attempt after it ran out of memory keeps what is less.
    """
    if shape is None:
        return config
    adjustments = fitted_batch(
        config,
        shape,
        limit_gib=limit_gib,
        engine=engine.name if detect_gpu() else "cpu",
        row_tokens=row_tokens(train) if detect_gpu() else (),
        may_raise=config.auto_find_batch_size and _is_first_attempt(job),
    )
    if not adjustments:
        return config
    job.report(ParametersAdjusted(adjustments=adjustments))
    return config.changed(**{one.name: one.new for one in adjustments})


def probe_limit_gib(
    job: Job, config: QLoRAConfig, shape: ModelShape | None, limit_gib: float
) -> float | None:
    """What a step without the optimizer's state may hold on the GPU; None where none is tried."""
    is_wanted = config.auto_find_batch_size and _is_first_attempt(job)
    if not is_wanted or not detect_gpu() or not shape or config.num_processes > 1:
        return None
    about = forecast(shape, config)
    return limit_gib - ENGINES["transformers"].libraries_gib - about.optimizer_gib


def _is_first_attempt(job: Job) -> bool:
    attempts = [one for one in job.directory.read_events() if isinstance(one, RunStarted)]
    return len(attempts) == 1

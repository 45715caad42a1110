"""Fits a run to the machine when it begins: how many entries at once, and what may be tried.

The choice is an event of the run, so that every attempt after the first has the same. What was
found is kept for the next run of the same kind, and the memory forecast is recorded with the
settings that training begins with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.events import MemoryExpected, ParametersAdjusted, RunStarted
from medqlora.domain.recovery import ParameterAdjustment
from medqlora.errors import PersistenceError
from medqlora.models.engine import ModelEngine
from medqlora.models.engine_memory import ENGINES
from medqlora.models.memory_forecast import ModelShape, forecast
from medqlora.models.memory_reading import detect_gpu
from medqlora.runs.found_batches import FoundBatch, FoundBatches, found_batches, longest_tokens
from medqlora.runs.job import Job
from medqlora.training.batch_fitting import USABLE_SHARE, expected_tokens, fitted_batch
from medqlora.training.distributed import is_main_process, local_world_size
from medqlora.training.memory import MemoryMonitor
from medqlora.training.probe import row_tokens

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import SFTConfig

FITTED_SETTINGS = (
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "gradient_checkpointing",
)


def usable_gib(monitor: MemoryMonitor) -> float:
    """What one process may take: each has a GPU of its own, and RAM is shared."""
    memory = monitor.sample()
    num_sharing = local_world_size() if memory.source == "ram" else 1
    return memory.limit_gib * USABLE_SHARE[memory.source] / num_sharing


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a run was fitted to the machine.

    Attributes:
        config: The settings with a micro-batch that fits.
        probe_limit_gib: What a step without the optimizer's state may hold on the GPU; None where
            none is tried.
    """

    config: QLoRAConfig
    probe_limit_gib: float | None
    _job: Job
    _shape: ModelShape | None
    _engine: str
    _row_tokens: Sequence[int]
    _keeps: FoundBatches | None

    def ready(self, arguments: SFTConfig) -> None:
        """Training is about to begin with these arguments, after everything that was tried."""
        config = self.config.changed(
            per_device_train_batch_size=arguments.per_device_train_batch_size,
            gradient_accumulation_steps=arguments.gradient_accumulation_steps,
        )
        if self._shape is not None:
            self._record_forecast(self._shape, config, is_padded=not arguments.padding_free)
        if self._keeps is not None and is_main_process():
            self._keep(self._keeps, config)

    def _record_forecast(self, shape: ModelShape, config: QLoRAConfig, *, is_padded: bool) -> None:
        size, rows = config.per_device_train_batch_size, self._row_tokens
        tokens = size * max(rows) if is_padded else expected_tokens(config, rows)
        about = forecast(shape, config, engine=self._engine, num_tokens=tokens)
        is_on_card = self._engine != "cpu"
        self._job.report(
            MemoryExpected(
                source="gpu" if is_on_card else "ram",
                expected_gib=about.peak_gib if is_on_card else about.total_gib,
                num_tokens=tokens,
            )
        )

    def _keep(self, keeps: FoundBatches, config: QLoRAConfig) -> None:
        size = config.per_device_train_batch_size
        found = FoundBatch(
            per_device_train_batch_size=size,
            gradient_accumulation_steps=config.gradient_accumulation_steps,
            gradient_checkpointing=config.gradient_checkpointing,
            engine=self._engine,
            num_tokens=longest_tokens(self._row_tokens, size),
            run_id=self._job.spec.run_id,
        )
        try:
            keeps.keep(found)
        except PersistenceError as error:
            # The next run tries again; this one can do without.
            self._job.report_phase(f"What fits could not be kept for the next run: {error.message}")


def fitted(
    job: Job,
    config: QLoRAConfig,
    shape: ModelShape | None,
    engine: ModelEngine,
    train: Dataset,
    *,
    limit_gib: float,
) -> Fit:
    """The settings with a micro-batch that fits, which is said when it is another.

    Chosen anew only when the run begins: an attempt after it ran out of memory keeps what is less.
    """
    is_on_card = detect_gpu() is not None
    name, rows = engine.name if is_on_card else "cpu", row_tokens(train)
    is_first = _is_first_attempt(job)
    may_raise = config.auto_find_batch_size and is_first
    kept = found_batches(job.spec) if is_first and shape else None
    known = kept.find() if kept else None
    if known and not known.suits(rows, engine=name, per_step=_per_step(config)):
        known = None
    adjustments: tuple[ParameterAdjustment, ...] = ()
    if known:
        adjustments = _as_before(job, config, known)
    elif shape:
        adjustments = fitted_batch(
            config,
            shape,
            limit_gib=limit_gib,
            engine=name,
            row_tokens=rows if is_on_card else (),
            may_raise=may_raise,
        )
    if adjustments:
        job.report(ParametersAdjusted(adjustments=adjustments))
    is_tried = may_raise and is_on_card and not known and config.num_processes == 1
    return Fit(
        config=config.changed(**{one.name: one.new for one in adjustments}),
        probe_limit_gib=_probe_limit_gib(shape, config, limit_gib) if shape and is_tried else None,
        _job=job,
        _shape=shape,
        _engine=name,
        _row_tokens=rows,
        _keeps=kept if (is_tried or adjustments) and not known else None,
    )


def _probe_limit_gib(shape: ModelShape, config: QLoRAConfig, limit_gib: float) -> float:
    about = forecast(shape, config)
    return limit_gib - ENGINES["transformers"].libraries_gib - about.optimizer_gib


def _as_before(job: Job, config: QLoRAConfig, known: FoundBatch) -> tuple[ParameterAdjustment, ...]:
    """The changes that make the settings those that fitted before; the user is told."""
    reason = (
        f"{known.per_device_train_batch_size} entries at once fitted in {known.run_id}, on this "
        f"machine with this model and entries as long, and are not tried again; "
        f"{config.effective_batch_size} entries a step as before."
    )
    changes = tuple(
        ParameterAdjustment(
            name=name, old=getattr(config, name), new=getattr(known, name), reason=reason
        )
        for name in FITTED_SETTINGS
        if getattr(config, name) != getattr(known, name)
    )
    if not changes:
        job.report_phase(reason)
    return changes


def _per_step(config: QLoRAConfig) -> int:
    """Entries that a device takes a step."""
    return config.per_device_train_batch_size * config.gradient_accumulation_steps


def _is_first_attempt(job: Job) -> bool:
    attempts = [one for one in job.directory.read_events() if isinstance(one, RunStarted)]
    return len(attempts) == 1

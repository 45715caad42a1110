"""Makes the library's trainer ready: rows without padding where that is proven, a batch that fits.

Both are tried on the model and the rows that are about to be trained, before anything is learned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from medqlora.domain.events import Event, ParametersAdjusted, PhaseChanged, RunWarned
from medqlora.domain.recovery import ParameterAdjustment
from medqlora.training import isolation, probe

if TYPE_CHECKING:
    from trl import SFTConfig

Report = Callable[[Event], object]


def ready_trainer(
    make: Callable[[], Any],
    arguments: SFTConfig,
    *,
    report: Report,
    probe_limit_gib: float | None,
) -> Any:
    """The trainer that `make` makes of `arguments`, which are changed until they suit.

    Args:
        make: Makes a trainer; called again when they were changed.
        arguments: The training arguments.
        report: Gets what was found and changed.
        probe_limit_gib: See `QLoRATrainer`.
    """
    trainer = make()
    if arguments.padding_free and not _is_isolated(trainer, report):
        arguments.padding_free = False
        arguments.train_sampling_strategy = "group_by_length"
        trainer = make()
    less = _less_at_once(trainer, arguments, probe_limit_gib) if probe_limit_gib else ()
    if less:
        for one in less:
            setattr(arguments, one.name, one.new)
        report(ParametersAdjusted(adjustments=less))
        trainer = make()
    return trainer


def _is_isolated(trainer: Any, report: Report) -> bool:
    """Whether rows in one sequence were seen not to see each other; the user is told."""
    rows = [*trainer.train_dataset.select(range(min(2, len(trainer.train_dataset))))]
    found = isolation.measure(trainer, rows) if len(rows) == 2 else None
    if found is None or not found.holds:
        report(
            RunWarned(
                message="It could not be shown that entries laid side by side cannot see each "
                "other with this model on this machine, so they are padded.",
                hint="Training does the same and takes longer.",
            )
        )
        return False
    seen = f"{found.between_neighbours:.0e}, with a visible neighbour {found.control:.0e}"
    report(PhaseChanged(phase=f"Checked that entries in a batch cannot see each other ({seen})"))
    return True


def _less_at_once(
    trainer: Any, arguments: SFTConfig, limit_gib: float
) -> tuple[ParameterAdjustment, ...]:
    """The micro-batch halved until its longest rows fit; empty where they do as it is."""
    asked = size = arguments.per_device_train_batch_size
    found = ""
    while size % 2 == 0:
        taken = probe.peak_gib(trainer, probe.longest_rows(trainer.train_dataset, size))
        if taken is not None and taken <= limit_gib:
            break
        took = f"they took {taken:.1f} GiB" if taken else "memory ran out"
        found = f"Tried the {size} longest entries at once: {took} of {limit_gib:.1f} GiB"
        size //= 2
    if size == asked:
        return ()
    reason = f"{found}; more accumulation keeps the entries a step."
    steps = arguments.gradient_accumulation_steps
    return (
        ParameterAdjustment(name="per_device_train_batch_size", old=asked, new=size, reason=reason),
        ParameterAdjustment(
            name="gradient_accumulation_steps",
            old=steps,
            new=steps * asked // size,
            reason=reason,
        ),
    )

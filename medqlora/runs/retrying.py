"""What follows an attempt that ran out of memory: the next one, with settings that need less.

Changed settings are events of the run (`ParametersAdjusted`), so the settings in effect are those
asked for with every adjustment since. What to change is `recovery`'s decision; starting the next
attempt is the supervisor's work.
"""

from __future__ import annotations

from collections.abc import Sequence

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.events import Event, Outcome, ParametersAdjusted, RunFailed, RunStarted
from medqlora.domain.jobs import JobSpec
from medqlora.domain.recovery import ParameterAdjustment
from medqlora.errors import OutOfMemoryError
from medqlora.recovery import ErrorRecoveryManager
from medqlora.runs.origins import checkpoints_of
from medqlora.runs.run_directory import RunDirectory

MAX_CHANGES = 4
"""How often in its life a run is given settings that need less memory."""

EXIT_DISK_FULL = 74
"""Exit code of a worker that could not even write its end, EX_IOERR of sysexits.h."""


def config_in_effect(spec: JobSpec, events: Sequence[Event]) -> QLoRAConfig:
    """The settings that were asked for, with every change since."""
    config = QLoRAConfig.from_dict(spec.config)
    for event in events:
        if isinstance(event, ParametersAdjusted):
            config = config.changed(**{one.name: one.new for one in event.adjustments})
    return config


def changes_before_next(directory: RunDirectory) -> tuple[ParameterAdjustment, ...]:
    """Settings to change before the next attempt.

    Empty when the last attempt did not end for want of memory, or when nothing is left to change.
    """
    return _changes(directory, directory.read_events())


def out_of_memory(directory: RunDirectory, message: str) -> RunFailed:
    """The end of an attempt for want of memory, saying what follows."""
    end = RunFailed(code=OutOfMemoryError.code, message=message, hint="")
    events = [*directory.read_events(), end]
    changes = _changes(directory, events)
    if changes:
        named = ", ".join(f"{one.name} {one.new} in place of {one.old}" for one in changes)
        hint = f"It is tried again by itself with {named}; if not, press Resume."
    else:
        config = config_in_effect(directory.spec(), events)
        settings = (
            f"batch size {config.per_device_train_batch_size}, {config.max_seq_length} tokens and "
            f"rank {config.rank}"
        )
        smaller = "a smaller batch size, " if config.per_device_train_batch_size > 1 else ""
        hint = (
            f"It does not fit with {settings} either, and is not tried again. Choose {smaller}a "
            "smaller model or shorter entries (max_seq_length) on Configure, or a machine with "
            "more memory."
        )
    return RunFailed(code=end.code, message=message, hint=hint)


def killed_for_memory(directory: RunDirectory) -> RunFailed:
    """The end of an attempt whose worker the system ended for want of RAM."""
    return out_of_memory(
        directory, "The machine's memory (RAM) ran out, and the system ended the job."
    )


def _changes(directory: RunDirectory, events: Sequence[Event]) -> tuple[ParameterAdjustment, ...]:
    spec = directory.spec()
    attempts = [event for event in events if isinstance(event, RunStarted | Outcome)]
    num_shortages = sum(map(_is_shortage, attempts))
    is_next = spec.kind == "train" and bool(attempts) and _is_shortage(attempts[-1])
    if not is_next or num_shortages > MAX_CHANGES:
        return ()
    recovery = ErrorRecoveryManager(
        config_in_effect(spec, events),
        has_checkpoint=checkpoints_of(directory).find_newest_valid() is not None,
    )
    error = OutOfMemoryError("Memory ran out.", hint="")
    return tuple(recovery.suggest_parameter_adjustments(error))


def _is_shortage(event: Event) -> bool:
    return isinstance(event, RunFailed) and event.code == OutOfMemoryError.code

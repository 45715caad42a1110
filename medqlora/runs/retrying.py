"""What follows an attempt that ran out of memory: the next one, mostly with what needs less.

Changed settings are events of the run (`ParametersAdjusted`), so the settings in effect are those
asked for with every adjustment since. What to change is `recovery`'s decision; starting the next
attempt is the supervisor's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.events import Event, Outcome, ParametersAdjusted, RunFailed, RunStarted
from medqlora.domain.jobs import JobSpec
from medqlora.domain.recovery import RecoveryAction
from medqlora.errors import ModelOutOfMemoryError, OutOfMemoryError
from medqlora.models.compatibility import smaller_models
from medqlora.recovery import ErrorRecoveryManager
from medqlora.runs.origins import checkpoints_of
from medqlora.runs.run_directory import RunDirectory

MAX_CHANGES = 4
"""How often in its life a run is tried again by itself for want of memory."""

LOADING_MODEL = "Loading the model"
"""The phase in which memory that runs out is not a matter of the batch."""

ASKING_ADVICE = (
    "Close other programs and chats and start it again, or use a machine with more memory. "
    "Answers that were there are kept."
)
"""What to do where memory ran out in a job that trains nothing."""

EXIT_DISK_FULL = 74
"""Exit code of a worker that could not even write its end, EX_IOERR of sysexits.h."""


def config_in_effect(spec: JobSpec, events: Sequence[Event]) -> QLoRAConfig:
    """The settings that were asked for, with every change since."""
    config = QLoRAConfig.from_dict(spec.config)
    for event in events:
        if isinstance(event, ParametersAdjusted):
            config = config.changed(**{one.name: one.new for one in event.adjustments})
    return config


def action_before_next(directory: RunDirectory) -> RecoveryAction | None:
    """What to do before the next attempt: change settings, or only try again.

    None when the last attempt did not end for want of memory, or when nothing is left to try.
    """
    return _action(directory, directory.read_events())


def out_of_memory(directory: RunDirectory, message: str, *, is_loading: bool = False) -> RunFailed:
    """The end of an attempt for want of memory, saying what follows.

    Args:
        directory: The run.
        message: What happened.
        is_loading: Whether the model was being loaded.
    """
    error = ModelOutOfMemoryError if is_loading else OutOfMemoryError
    end = RunFailed(code=error.code, message=message, hint="")
    if directory.spec().kind != "train":
        return RunFailed(code=end.code, message=message, hint=ASKING_ADVICE)
    events = [*directory.read_events(), end]
    action = _action(directory, events)
    config = config_in_effect(directory.spec(), events)
    if action is None:
        hint = _loading_advice(directory, config) if is_loading else _advice(config)
    elif action.adjustments:
        changes = action.adjustments
        named = ", ".join(f"{one.name} {one.new} in place of {one.old}" for one in changes)
        hint = f"It is tried again by itself with {named}; if not, press Resume."
    else:
        hint = (
            "It is tried once more by itself, in a new process; if not, close other programs and "
            "chats and press Resume."
        )
    return RunFailed(code=end.code, message=message, hint=hint)


def killed_for_memory(directory: RunDirectory) -> RunFailed:
    """The end of an attempt whose worker the system ended for want of RAM."""
    is_loading = directory.snapshot().phase == LOADING_MODEL
    doing = " while the model was being loaded" if is_loading else ""
    return out_of_memory(
        directory,
        f"The machine's memory (RAM) ran out{doing}, and the system ended the job.",
        is_loading=is_loading,
    )


def _advice(config: QLoRAConfig) -> str:
    settings = (
        f"batch size {config.per_device_train_batch_size}, {config.max_seq_length} tokens and "
        f"rank {config.rank}"
    )
    smaller = "a smaller batch size, " if config.per_device_train_batch_size > 1 else ""
    return (
        f"It does not fit with {settings} either, and is not tried again. Choose {smaller}a "
        "smaller model or shorter entries (max_seq_length) on Configure, or a machine with "
        "more memory."
    )


def _loading_advice(directory: RunDirectory, config: QLoRAConfig) -> str:
    smaller = smaller_models(config, models_dir=Path(directory.spec().models_dir))
    others = " or ".join(smaller[:2])
    way_out = f"choose {others}, which by the forecast fits here" if smaller else ""
    if config.quantization == "none":
        way_out = "begin a new run with Quantisation nf4"
    return (
        "No smaller batch helps where the model itself does not fit, so it is not tried again. "
        "Close other programs and chats, then press Resume; or "
        f"{way_out or 'use a machine with more memory'}."
    )


def _action(directory: RunDirectory, events: Sequence[Event]) -> RecoveryAction | None:
    spec = directory.spec()
    turns = [event for event in events if isinstance(event, RunStarted | Outcome)]
    # Of each attempt that has ended, what ran out of memory in it, if anything did.
    shortages = [_shortage(turn) for turn in turns if isinstance(turn, Outcome)]
    num_shortages = len(shortages) - shortages.count(None)
    is_over = bool(turns) and isinstance(turns[-1], Outcome)
    if spec.kind != "train" or not is_over or num_shortages > MAX_CHANGES:
        return None
    *earlier, last = shortages
    if last is None:
        return None
    recovery = ErrorRecoveryManager(
        config_in_effect(spec, events),
        has_checkpoint=checkpoints_of(directory).find_newest_valid() is not None,
        has_reloaded=earlier[-1:] == [ModelOutOfMemoryError],
    )
    action = recovery.handle_memory_error(last("Memory ran out.", hint=""))
    return None if action.kind == "give_up" else action


def _shortage(event: Event) -> type[OutOfMemoryError] | None:
    code = event.code if isinstance(event, RunFailed) else ""
    kinds = (OutOfMemoryError, ModelOutOfMemoryError)
    return next((kind for kind in kinds if kind.code == code), None)

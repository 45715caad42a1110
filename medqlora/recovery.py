"""ErrorRecoveryManager: an error in, what to do out. Pure policy: it decides and never acts.

Out of memory halves the micro-batch and doubles the accumulation, so that the effective batch
stays; then shortens the entries; then lowers the rank. Where not even the model could be loaded,
a fresh process tries once more, because whatever held the memory may be gone; then its weights are
stored in fewer bits. Every change carries the reason the user reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from medqlora.config.adjustments import (
    easier_model,
    lighter_weights,
    more_checkpoints,
    slower,
    smaller,
)
from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.recovery import (
    ParameterAdjustment,
    ReconnectionGuide,
    RecoveryAction,
    RecoveryKind,
)
from medqlora.errors import (
    ERRORS_BY_CODE,
    CheckpointCorruptError,
    CheckpointDiffersError,
    DataError,
    DiskFullError,
    MedQLoRAError,
    ModelError,
    ModelOutOfMemoryError,
    NonFiniteLossError,
    OutOfMemoryError,
    SessionError,
    TrainingError,
)

_T = TypeVar("_T")

RELOADING = (
    "A new process loads it once more with the same settings: what held the memory may be gone."
)

_KINDS: Mapping[type[MedQLoRAError], RecoveryKind] = {
    OutOfMemoryError: "change_settings",
    NonFiniteLossError: "change_settings",
    DiskFullError: "free_space",
    CheckpointCorruptError: "resume",
    CheckpointDiffersError: "ask_user",
    SessionError: "resume",
    DataError: "ask_user",
    ModelError: "ask_user",
    TrainingError: "resume",
    MedQLoRAError: "ask_user",
}

_STEPS: Mapping[type[MedQLoRAError], tuple[str, ...]] = {
    OutOfMemoryError: (
        "Close other programs and chats that use this machine's memory.",
        "On Configure lower the batch size and raise the accumulation by the same factor.",
        "Press Resume on Train; the run goes on from its last checkpoint.",
    ),
    ModelOutOfMemoryError: (
        "Close other programs and chats that use this machine's memory.",
        "Press Resume on Train; the run goes on from its last checkpoint, or begins.",
        "If it happens again, choose a smaller model on Configure, which says what fits.",
    ),
    NonFiniteLossError: (
        "On Configure choose a smaller learning rate.",
        "Start the run again; the last checkpoint is from before the loss was lost.",
    ),
    DataError: (
        "Open the file on the Dataset tab and read the findings, which name the rows.",
        "Mend those rows, or say on the tab which columns hold question and answer.",
        "Prepare the dataset again; rows that cannot be read are left out by themselves.",
    ),
    ModelError: (
        "Check the model's name on Configure, and whether it asks for consent on its page.",
        "Choose a smaller model if this machine has too little memory for it.",
        "Choose the embedded model, which needs neither network nor GPU, to go on at once.",
    ),
    SessionError: (
        "Open the notebook again and run its cells from the top.",
        "Start the app with the same workspace folder, or with the same mirror.",
        "Press Resume on Train, or Continue my last run; it goes on from its last checkpoint.",
    ),
    CheckpointDiffersError: (
        "Read what differs, and restore it if the result has to be exact.",
        "Or tick Accept differences on Train and press Resume.",
    ),
    DiskFullError: (
        "Delete runs or datasets that are no longer needed, or free other space.",
        "Press Resume on Train; the run goes on from its last checkpoint.",
    ),
    TrainingError: (
        "Press Resume on Train; the run goes on from its last checkpoint.",
        "If it happens again, read worker.log in the run's folder.",
    ),
    MedQLoRAError: ("Do what the message says, then try again.",),
}


class ErrorRecoveryManager:
    """Decides what follows an error.

    Args:
        config: The settings of the run that failed.
        has_checkpoint: Whether the run has something to go on from; a change that would not fit it
            is then not suggested.
        has_reloaded: Whether a fresh process has tried to load the model with these settings.
    """

    def __init__(
        self,
        config: QLoRAConfig | None = None,
        *,
        has_checkpoint: bool = False,
        has_reloaded: bool = False,
    ) -> None:
        self._config = config or QLoRAConfig(EMBEDDED_MODEL)
        self._has_checkpoint = has_checkpoint
        self._has_reloaded = has_reloaded

    def handle_error(self, error: MedQLoRAError) -> RecoveryAction:
        """What should follow any of our errors."""
        if isinstance(error, OutOfMemoryError):
            return self.handle_memory_error(error)
        kind = _nearest(_KINDS, type(error))
        return RecoveryAction(
            kind=kind,
            message=str(error),
            adjustments=tuple(self.suggest_parameter_adjustments(error)),
            steps=_nearest(_STEPS, type(error)),
        )

    def handle_memory_error(self, error: OutOfMemoryError) -> RecoveryAction:
        """What should follow running out of memory.

        The mildest change that is left, or giving up with advice.
        """
        if isinstance(error, ModelOutOfMemoryError) and not self._has_reloaded:
            return RecoveryAction(
                kind="retry",
                message=f"{error.message} {RELOADING}",
                steps=_STEPS[ModelOutOfMemoryError],
            )
        adjustments = tuple(self.suggest_parameter_adjustments(error))
        if not adjustments:
            return RecoveryAction(
                kind="give_up",
                message=(
                    "The smallest settings do not fit either. Choose a smaller model "
                    "or a larger GPU."
                ),
                steps=_STEPS[ModelError],
            )
        changes = "; ".join(f"{one.name} {one.old} → {one.new}" for one in adjustments)
        return RecoveryAction(
            kind="change_settings",
            message=f"{error.message} Try again with {changes}.",
            adjustments=adjustments,
            steps=_nearest(_STEPS, type(error)),
        )

    def steps_for(self, code: str) -> tuple[str, ...]:
        """What the user can do about an error of which only the code is left, in order."""
        return _nearest(_STEPS, ERRORS_BY_CODE.get(code, TrainingError))

    def handle_session_disconnect(self) -> ReconnectionGuide:
        """How to go on after the notebook session was lost."""
        return ReconnectionGuide(
            message=(
                "The session ended; a run that the Train tab called safe in Drive is there up to "
                "that step."
            ),
            steps=(
                "Open the notebook again and run its cells from the top, with keep_on_drive "
                "ticked as before.",
                "Open the Train tab and press Continue my last run: it is fetched from Drive.",
                "If the workspace is still there, choose the interrupted run and press Resume.",
            ),
        )

    def suggest_parameter_adjustments(self, error: MedQLoRAError) -> list[ParameterAdjustment]:
        """Settings to change before trying again; empty when no setting would help.

        That is so of data: its mistakes are mended in the file or by the cleaning steps.
        """
        config, has_checkpoint = self._config, self._has_checkpoint
        if isinstance(error, ModelOutOfMemoryError):
            return lighter_weights(config, has_checkpoint=has_checkpoint)
        if isinstance(error, OutOfMemoryError):
            return smaller(config, has_checkpoint=has_checkpoint)
        if isinstance(error, NonFiniteLossError):
            return slower(config)
        if isinstance(error, ModelError):
            return easier_model(config)
        if isinstance(error, SessionError):
            return more_checkpoints(config)
        return []


def _nearest(table: Mapping[type[MedQLoRAError], _T], kind: type[MedQLoRAError]) -> _T:
    """The row of an error's own type, or of the nearest type above it."""
    return next(row for one in kind.__mro__ for row_kind, row in table.items() if row_kind is one)

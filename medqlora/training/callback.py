"""What the library's trainer tells us while it trains, and the two things we tell it.

Save now, stop now.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from medqlora.domain.events import CheckpointSaved, Event, PhaseChanged, RunWarned
from medqlora.errors import DiskFullError, NonFiniteLossError
from medqlora.persistence.adapters import refuse_non_finite
from medqlora.persistence.checkpoints import CheckpointManager
from medqlora.training.distributed import agreed, is_main_process, wait_for_all, world_size
from medqlora.training.metrics import TrainingMetricsLogger
from medqlora.training.watchdog import TrainingWatchdog

_SECONDS_BETWEEN_PHASES = 1.0

SPACE_PATIENCE_SECONDS = 600.0
"""How long training waits for free disk space before it ends."""
_SPACE_POLL_SECONDS = 1.0

_STATE_BYTES = 12
"""Bytes a trained weight in a checkpoint: itself and two moments of the optimizer, in float32."""


class RunEventCallback(TrainerCallback):
    """Turns the trainer's hooks into events, commits its checkpoints, and stops it when asked.

    Args:
        sink: Gets the events.
        metrics: Gets the numbers.
        checkpoints: Makes what the trainer saved a whole checkpoint, or None where none are kept.
        should_stop: Asked after each optimizer step.
        should_save: Asked after each optimizer step; True saves a checkpoint beyond the schedule.
        save_minutes: A checkpoint is also saved when the last is older than this, 0 for never.
    """

    def __init__(
        self,
        *,
        sink: Callable[[Event], object],
        metrics: TrainingMetricsLogger,
        checkpoints: CheckpointManager | None,
        should_stop: Callable[[], bool],
        should_save: Callable[[], bool],
        save_minutes: float = 0.0,
    ) -> None:
        self._sink = sink
        self._metrics = metrics
        self._checkpoints = checkpoints
        self._should_stop = should_stop
        self._should_save = should_save
        self._save_seconds = 60 * save_minutes
        self._saved_at = time.monotonic()
        self._lost_weights: NonFiniteLossError | None = None
        self._go_on: Callable[[], None] | None = None
        self._measured_batches = 0
        self._said_at = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Training begins, or goes on."""
        self._watchdog = TrainingWatchdog(self._sink, skips_overflows=args.fp16)
        self._saved_at = time.monotonic()
        self._sink(PhaseChanged(phase="Training", progress=state.global_step / state.max_steps))
        self._metrics.begin()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **_: Any,
    ) -> None:
        """An optimizer step is done: asked to stop, a checkpoint is written first."""
        if state.global_step >= state.max_steps:
            control.should_evaluate = args.eval_strategy != "no"
        elif self._should_stop():
            control.should_save = self._checkpoints is not None
            control.should_evaluate = False
            control.should_training_stop = True
        elif self._should_save() or self._is_overdue():
            control.should_save = self._checkpoints is not None
        if control.should_save and self._checkpoints:
            self._refuse_lost_weights(model, control)
        if control.should_save and self._checkpoints:
            self._wait_for_space(self._checkpoints, model, state, control)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """The trainer has numbers: of a step, or of an evaluation."""
        if logs is None:
            return
        if "loss" in logs:
            self._metrics.log_step(state.global_step, state.max_steps, logs)
            self._watchdog.see(
                state.global_step,
                loss=logs["loss"],
                grad_norm=logs.get("grad_norm"),
                learning_rate=logs["learning_rate"],
            )
            if self._lost_weights:
                raise self._lost_weights
            self._go_on = self._metrics.pause()
        if "eval_loss" in logs:
            self._metrics.log_evaluation(state.global_step, logs["eval_loss"])
            self._watchdog.see_evaluation(state.global_step, logs["eval_loss"])

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """What came since the last step was evaluating and saving, not training."""
        if self._go_on:
            self._go_on()
            self._go_on = None

    def on_prediction_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        eval_dataloader: Any = None,
        **_: Any,
    ) -> None:
        """A batch of held-out entries was measured."""
        self._measured_batches += 1
        now = time.monotonic()
        if now - self._said_at >= _SECONDS_BETWEEN_PHASES:
            self._said_at = now
            share = self._measured_batches / len(eval_dataloader)
            self._sink(PhaseChanged(phase="Measuring the held-out entries", progress=share))

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """All held-out entries were measured."""
        self._measured_batches = 0
        self._sink(PhaseChanged(phase="Training", progress=state.global_step / state.max_steps))

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The trainer has written a checkpoint into the staging folder."""
        if self._checkpoints is None:
            return
        saved = self._checkpoints.commit(state.global_step)
        self._saved_at = time.monotonic()
        self._sink(CheckpointSaved(step=saved.step, size_bytes=saved.size_bytes))

    def _refuse_lost_weights(self, model: Any, control: TrainerControl) -> None:
        try:
            refuse_non_finite(model)
        except NonFiniteLossError as error:
            # Raised once the numbers of the step are told: they may say it more plainly.
            self._lost_weights = error
            control.should_save = False

    def _is_overdue(self) -> bool:
        return 0 < self._save_seconds <= time.monotonic() - self._saved_at

    def _wait_for_space(
        self,
        checkpoints: CheckpointManager,
        model: Any,
        state: TrainerState,
        control: TrainerControl,
    ) -> None:
        """Waits while the disk is full; nothing that was learned is lost meanwhile.

        Raises:
            DiskFullError: Nobody freed space in time.
        """
        num_trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
        begun_at = time.monotonic()
        go_on = None
        while True:
            try:
                checkpoints.check_space(num_trained * _STATE_BYTES)
                break
            except DiskFullError as error:
                if time.monotonic() - begun_at > SPACE_PATIENCE_SECONDS:
                    raise
                if go_on is None:
                    go_on = self._metrics.pause()
                    self._say_it_waits(error)
                if self._should_stop():
                    control.should_save = False
                    control.should_training_stop = True
                    break
                time.sleep(_SPACE_POLL_SECONDS)
        if go_on:
            go_on()
            self._sink(PhaseChanged(phase="Training", progress=state.global_step / state.max_steps))

    def _say_it_waits(self, error: DiskFullError) -> None:
        self._sink(
            RunWarned(
                message=error.message,
                hint=f"Training waits up to {SPACE_PATIENCE_SECONDS / 60:g} minutes. Free some "
                "space (old runs can be deleted) and it goes on by itself.",
            )
        )
        self._sink(PhaseChanged(phase="Waiting for free disk space"))


def in_step(callback: RunEventCallback) -> list[TrainerCallback]:
    """The callbacks of this process: the given one's decisions are those of the main process."""
    if world_size() == 1:
        return [callback]
    own = [callback] if is_main_process() else []
    return [_SaveTogether(), *own, _FollowMain()]


class _SaveTogether(TrainerCallback):
    """Stands before the one that commits: every process has written its part by then."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """This process has written its part of a checkpoint."""
        wait_for_all()


class _FollowMain(TrainerCallback):
    """Stands after the one that decides: all stop, save and measure at the same step."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The main process has decided what follows this step."""
        decided = agreed(
            (control.should_training_stop, control.should_save, control.should_evaluate)
        )
        control.should_training_stop, control.should_save, control.should_evaluate = decided

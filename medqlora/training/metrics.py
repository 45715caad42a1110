"""TrainingMetricsLogger turns a trainer's numbers into events.

Speed and time left are worked out here. It keeps no history; the event log does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from medqlora.domain.events import EvalLogged, Event, StepLogged

_SMOOTHING = 0.2


class TrainingMetricsLogger:
    """Reports steps and evaluations.

    Args:
        sink: Gets the events.
        clock: Seconds that only grow.
    """

    def __init__(
        self, sink: Callable[[Event], object], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._last_at = clock()
        self._last_tokens = 0
        self._seconds_per_step: float | None = None
        self.train_loss = math.nan
        self.eval_loss: float | None = None
        self.num_tokens = 0

    def begin(self) -> None:
        """Starts the clock of the first step."""
        self._last_at = self._clock()

    def pause(self) -> Callable[[], None]:
        """Stops the clock for something that is not training; call what is returned to go on."""
        paused_at = self._clock()

        def go_on() -> None:
            self._last_at += self._clock() - paused_at

        return go_on

    def log_step(self, step: int, total_steps: int, logs: Mapping[str, float]) -> None:
        """Reports one optimizer step.

        Args:
            step: The step, from 1.
            total_steps: Steps of the run.
            logs: The trainer's own: `loss`, `grad_norm`, `learning_rate`, `epoch`, `num_tokens`.

        """
        now = self._clock()
        seconds = max(now - self._last_at, 1e-9)
        self.num_tokens = int(logs["num_tokens"])
        known = self._seconds_per_step
        self._seconds_per_step = (
            seconds if known is None else known + _SMOOTHING * (seconds - known)
        )
        self.train_loss = logs["loss"]
        grad_norm = float(logs.get("grad_norm", math.nan))
        self._sink(
            StepLogged(
                step=step,
                total_steps=total_steps,
                epoch=logs["epoch"],
                loss=self.train_loss,
                learning_rate=logs["learning_rate"],
                grad_norm=grad_norm,
                tokens_per_second=(self.num_tokens - self._last_tokens) / seconds,
                num_tokens=self.num_tokens,
                seconds_left=(total_steps - step) * self._seconds_per_step,
            )
        )
        self._last_at, self._last_tokens = now, self.num_tokens

    def log_evaluation(self, step: int, eval_loss: float) -> None:
        """Reports the loss on the held-out entries after `step`."""
        self.eval_loss = eval_loss
        self._sink(EvalLogged(step=step, eval_loss=eval_loss))

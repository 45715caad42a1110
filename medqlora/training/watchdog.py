"""TrainingWatchdog looks at each step's numbers: stops what is lost, warns of what is useless.

A loss or gradient that is not a number stops training at that step. Everything else is a warning
with its reason, given once: training goes on, and the user decides. It knows the steps of one
attempt; one that was resumed starts with an empty memory.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from statistics import fmean

from medqlora.domain.events import Event, RunWarned
from medqlora.errors import NonFiniteLossError

NUM_OVERFLOWS = 10
"""float16 skips a step whose gradient overflows and halves its scale; a few at the start are its
normal way of finding the scale."""

NUM_START_STEPS = 5
DIVERGED_FACTOR = 3.0
NUM_DIVERGED_STEPS = 10

PLATEAU_STEPS = 100
PLATEAU_FALL = 0.005
"""Share of the loss by which the later half of the last `PLATEAU_STEPS` must lie below the earlier
one."""
_LOW_RATE_SHARE = 0.1


class TrainingWatchdog:
    """Watches one attempt.

    Args:
        sink: Gets the warnings.
        skips_overflows: Whether steps whose gradient is not finite are skipped, as in float16;
            elsewhere they reach the weights.
    """

    def __init__(self, sink: Callable[[Event], object], *, skips_overflows: bool) -> None:
        self._sink = sink
        self._skips_overflows = skips_overflows
        self._said: set[str] = set()
        self._start_losses: list[float] = []
        self._losses: deque[float] = deque(maxlen=PLATEAU_STEPS)
        self._top_rate = 0.0
        self._num_overflows = 0
        self._num_diverged = 0

    def see(self, step: int, *, loss: float, grad_norm: float | None, learning_rate: float) -> None:
        """Judges the numbers of one optimizer step.

        Args:
            step: The step.
            loss: Its mean loss.
            grad_norm: Norm of its gradient before clipping, None where it was not measured.
            learning_rate: Its learning rate.

        Raises:
            NonFiniteLossError: The loss is NaN or infinite, or the gradient is and was not skipped.
        """
        if not math.isfinite(loss):
            raise _lost("loss", step)
        if grad_norm is not None:
            self._see_gradient(step, grad_norm)
        if loss == 0.0:
            self._warn(
                "zero",
                f"The loss of step {step} is exactly 0, so nothing is learned from these entries.",
                "Look at the entries on the Dataset tab: their answers may be empty or cut off.",
            )
        self._see_divergence(step, loss)
        self._see_plateau(loss, learning_rate)

    def see_evaluation(self, step: int, eval_loss: float) -> None:
        """Judges the loss on the held-out entries."""
        if not math.isfinite(eval_loss):
            self._warn(
                "evaluation",
                f"The loss on the held-out entries after step {step} is not a number.",
                "If the training loss follows, the run stops; then choose a smaller learning rate.",
            )

    def _see_gradient(self, step: int, grad_norm: float) -> None:
        is_finite = math.isfinite(grad_norm)
        if not is_finite and not self._skips_overflows:
            raise _lost("gradient", step)
        self._num_overflows = 0 if is_finite else self._num_overflows + 1
        if self._num_overflows == NUM_OVERFLOWS:
            self._warn(
                "overflow",
                f"The gradient did not fit into float16 in {NUM_OVERFLOWS} steps one after "
                "another, so nothing was learned in them.",
                "Choose a smaller learning rate, or computation in bfloat16 or float32 on "
                "Configure.",
            )
        if grad_norm == 0.0:
            self._warn(
                "gradient",
                f"The gradient of step {step} is exactly 0, so the adapter does not change.",
                "If it goes on, stop the run and report it: it would end where it began.",
            )

    def _see_divergence(self, step: int, loss: float) -> None:
        if len(self._start_losses) < NUM_START_STEPS:
            self._start_losses.append(loss)
            return
        start = fmean(self._start_losses)
        self._num_diverged = self._num_diverged + 1 if loss > DIVERGED_FACTOR * start else 0
        if self._num_diverged == NUM_DIVERGED_STEPS:
            self._warn(
                "diverged",
                f"The loss has been more than {DIVERGED_FACTOR:g} times that of the start "
                f"({start:.2f}) for {NUM_DIVERGED_STEPS} steps, and is {loss:.2f} at step {step}.",
                "The model is getting worse. Stop the run and start again with a smaller learning "
                "rate.",
            )

    def _see_plateau(self, loss: float, learning_rate: float) -> None:
        self._losses.append(loss)
        self._top_rate = max(self._top_rate, learning_rate)
        # At the end of the schedule the steps are small on purpose.
        if len(self._losses) < PLATEAU_STEPS or learning_rate < _LOW_RATE_SHARE * self._top_rate:
            return
        half = PLATEAU_STEPS // 2
        earlier, later = fmean(list(self._losses)[:half]), fmean(list(self._losses)[half:])
        if later > (1 - PLATEAU_FALL) * earlier:
            self._warn(
                "plateau",
                f"The loss has not fallen in the last {PLATEAU_STEPS} steps: {earlier:.3f} before, "
                f"{later:.3f} now.",
                "If the loss on the held-out entries does not fall either, more steps will not "
                "help: stop, or try another learning rate or rank.",
            )

    def _warn(self, about: str, message: str, hint: str) -> None:
        if about not in self._said:
            self._said.add(about)
            self._sink(RunWarned(message=message, hint=hint))


def _lost(what: str, step: int) -> NonFiniteLossError:
    return NonFiniteLossError(
        f"The {what} of step {step} is not a number, so training was stopped.",
        hint="Start again with a smaller learning rate; the last checkpoint is from before it.",
    )

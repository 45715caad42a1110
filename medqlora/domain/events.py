"""What can happen to a run, one type an event, and their JSON form.

A run is the list of its events: `runs.event_log` writes and reads them, `domain.snapshot` folds
them. A producer fills in what happened; the log stamps `seq`, `run_id` and `at` when it writes, so
an event that was never written has `seq` 0. Events carry numbers, names and our own sentences,
never text of a data row.

An attempt opens with `RunStarted` and ends in exactly one of `RunSucceeded`, `RunStopped` and
`RunFailed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, ClassVar

from medqlora.domain.recovery import ParameterAdjustment

NOT_YET = datetime.fromtimestamp(0, tz=UTC)
"""Time of an event that was not written yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events share.

    Attributes:
        seq: Position in the log, counted from 1 without gaps.
        run_id: The run it belongs to.
        at: When it was written, UTC.
    """

    kind: ClassVar[str]

    seq: int = 0
    run_id: str = ""
    at: datetime = NOT_YET


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """An attempt begins.

    Attributes:
        job: What kind of work: `train` or `evaluate`.
        resumed_from_step: Step of the checkpoint it goes on from, 0 for a fresh start.
    """

    kind = "run_started"

    job: str
    resumed_from_step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseChanged(Event):
    """The work entered a phase, or moved within one.

    Attributes:
        phase: What is being done, in words: "Loading the model".
        progress: Share done of this phase, 0 to 1, or None where it cannot be told.
    """

    kind = "phase_changed"

    phase: str
    progress: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLogged(Event):
    """An optimizer step was done.

    Attributes:
        step: The step, counted from 1.
        total_steps: Steps of the whole run.
        epoch: Passes over the training entries so far.
        loss: Mean loss of the step's tokens; NaN stays NaN.
        learning_rate: Learning rate used.
        grad_norm: Norm of the gradient before clipping.
        tokens_per_second: Tokens through the model per second of this step.
        num_tokens: Tokens through the model in this attempt.
        seconds_left: Estimated time to the last step.
    """

    kind = "step_logged"

    step: int
    total_steps: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float
    tokens_per_second: float
    num_tokens: int
    seconds_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalLogged(Event):
    """The loss on the held-out entries was measured after `step`."""

    kind = "eval_logged"

    step: int
    eval_loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySampled(Event):
    """Memory at one moment; the meanings are those of `resources.MemoryStats`."""

    kind = "memory_sampled"

    source: str
    used_gib: float
    limit_gib: float
    allocated_gib: float = 0.0
    reserved_gib: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryExpected(Event):
    """The memory forecast with the settings that training begins with.

    Attributes:
        source: `gpu` for what torch reserves on the card, `ram` for the memory of the process.
        expected_gib: The forecast peak; for RAM of the model's part alone.
        num_tokens: Tokens of the largest micro-batch that it was made for.
    """

    kind = "memory_expected"

    source: str
    expected_gib: float
    num_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved(Event):
    """A checkpoint is complete on disk.

    Attributes:
        step: Optimizer step after which it was written.
        size_bytes: Size of its files.
    """

    kind = "checkpoint_saved"

    step: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemEvaluated(Event):
    """One query was answered by both models; the texts lie in the job's own file, not in the log.

    Attributes:
        index: Which item, counted from 1.
        total: Items in all.
        base_scores: Score by metric of the base model's answer.
        finetuned_scores: Score by metric of the fine-tuned model's answer.
    """

    kind = "item_evaluated"

    index: int
    total: int
    base_scores: Mapping[str, float] = field(default_factory=dict)
    finetuned_scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWarned(Event):
    """Something the user should know; the run goes on."""

    kind = "run_warned"

    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParametersAdjusted(Event):
    """Settings were changed so that the run can go on."""

    kind = "parameters_adjusted"

    adjustments: tuple[ParameterAdjustment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSucceeded(Event):
    """The work is done.

    Attributes:
        metrics: Final figures by name.
    """

    kind = "run_succeeded"

    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStopped(Event):
    """The user stopped the work.

    Attributes:
        step: Last step (or item) that was done.
        checkpoint_step: Step of the checkpoint that a resume goes on from, 0 when there is none.
    """

    kind = "run_stopped"

    step: int
    checkpoint_step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed(Event):
    """The work could not go on.

    Attributes:
        code: Code of the error, as in `errors`.
        message: What happened.
        hint: The way out.
    """

    kind = "run_failed"

    code: str
    message: str
    hint: str


Outcome = RunSucceeded | RunStopped | RunFailed

EVENT_TYPES: Mapping[str, type[Event]] = {event.kind: event for event in Event.__subclasses__()}


def to_json(event: Event) -> dict[str, Any]:
    """The event as a JSON object, `kind` included."""
    return {"kind": event.kind, **asdict(event), "at": event.at.isoformat()}


def from_json(record: Mapping[str, Any]) -> Event:
    """The event that `to_json` wrote.

    Raises:
        KeyError: The kind is not one of ours.
        TypeError: A field is missing.
    """
    event_type = EVENT_TYPES[record["kind"]]
    known = {one.name for one in fields(event_type)}
    values = {name: value for name, value in record.items() if name in known}
    values["at"] = datetime.fromisoformat(values["at"])
    if event_type is ParametersAdjusted:
        values["adjustments"] = tuple(ParameterAdjustment(**one) for one in values["adjustments"])
    return event_type(**values)

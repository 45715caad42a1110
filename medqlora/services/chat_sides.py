"""Which two models can be asked side by side: the base, adapters on it, and their checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqlora.domain.generation import BASE
from medqlora.errors import EvaluationError, ModelError
from medqlora.models.four_bit_copy import OWN
from medqlora.services.training import TrainingService

TUNED = "tuned"
_BASE_NAME, _TUNED_NAME = "Before training", "After training"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One model that can be asked.

    Attributes:
        key: What a form sends: `base`, `tuned`, `step:N` or `run:ID`.
        name: What the user sees.
        adapter: Folder of its adapter; None for the base model.
    """

    key: str
    name: str
    adapter: Path | None


def sides_of(training: TrainingService, run_id: str) -> tuple[Side, ...]:
    """The models that share the base of a run, and so can be asked in one batch with it."""
    directory = training.directory(run_id)
    config = directory.spec().config
    base = _base(config)
    sides = [
        Side(key=BASE, name=_BASE_NAME, adapter=None),
        Side(key=TUNED, name=_TUNED_NAME, adapter=directory.adapter),
    ]
    for path in sorted(directory.checkpoints.glob("checkpoint-*/manifest.json")):
        step = path.parent.name.removeprefix("checkpoint-")
        sides.append(Side(key=f"step:{step}", name=f"After step {step}", adapter=path.parent))
    for other in training.runs():
        asked = training.spec(other.run_id).config
        if other.has_adapter and other.run_id != run_id and _base(asked) == base:
            adapter = training.directory(other.run_id).adapter
            name = f"{other.name} ({other.created_at})"
            sides.append(Side(key=f"run:{other.run_id}", name=name, adapter=adapter))
    return tuple(sides)


def _base(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What two adapters must have in common; an older run has less on record."""
    return (
        config["model_name"],
        config.get("model_revision", ""),
        config["quantization"],
        config.get("base_weights") or OWN,
    )


def two_sides(training: TrainingService, run_id: str, left: str, right: str) -> tuple[Side, Side]:
    """The two that were chosen.

    Raises:
        EvaluationError: They are the same, or one has no adapter yet.
        ModelError: One is not on the base of the run.
    """
    known = {one.key: one for one in sides_of(training, run_id)}
    if left == right:
        raise EvaluationError(
            "Both sides are the same model.", hint="Choose another one on one of the sides."
        )
    for key in (left, right):
        if key not in known:
            raise ModelError(
                "These two cannot be asked together: they do not share a base model, or one is "
                "gone.",
                hint="Choose from the two lists again.",
            )
    chosen = known[left], known[right]
    if any(one.adapter is not None and not one.adapter.is_dir() for one in chosen):
        raise EvaluationError(
            "This run has no adapter yet.",
            hint="Let it train to its end, or choose a finished run.",
        )
    return chosen

"""Rows in one sequence: proven not to see each other, and refused where they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import Event, PhaseChanged, RunWarned, StepLogged
from medqlora.models.transformers_engine import TransformersEngine
from medqlora.training import isolation
from medqlora.training.trainer import QLoRATrainer

CONFIG = QLoRAConfig(
    EMBEDDED_MODEL, rank=4, alpha=8, max_steps=3, max_seq_length=64, seed=3
).changed(learning_rate=1e-3)


def rows() -> Any:
    from datasets import Dataset

    return Dataset.from_list(
        [
            {"input_ids": ids, "labels": ids}
            for ids in ([(7 * n + k) % 500 + 50 for k in range(20 + n % 9)] for n in range(24))
        ]
    )


def train(tiny_model: Path, tmp_path: Path, *, padding_free: bool) -> list[Event]:
    """A short training on the CPU, whatever the settings would choose there."""
    engine, seen = TransformersEngine(), []
    loaded = engine.load_base(str(tiny_model), CONFIG)
    arguments = CONFIG.training_arguments(tmp_path / "out", num_entries=24)
    arguments.padding_free = padding_free
    QLoRATrainer(
        engine.attach_adapter(loaded.model, CONFIG),
        loaded.tokenizer,
        arguments,
        engine=engine,
        eval_dataset=rows().select(range(8)),
        sink=seen.append,
    ).train(rows())
    return seen


def losses(events: list[Event]) -> list[float]:
    return [one.loss for one in events if isinstance(one, StepLogged)]


@pytest.mark.parametrize("model", ["tiny_model", "tiny_picture_model"])
def test_without_padding_the_same_is_learned(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(model)
    padded = train(folder, tmp_path, padding_free=False)
    flat = train(folder, tmp_path, padding_free=True)
    told = [one.phase for one in flat if isinstance(one, PhaseChanged)]
    assert any("cannot see each other" in one for one in told)
    assert len(losses(flat)) == CONFIG.max_steps
    assert losses(flat) == pytest.approx(losses(padded), rel=2e-3)


class _Joined:
    """A collator with a mistake: the second row goes on where the first ended."""

    def __init__(self, collator: Any) -> None:
        self._collator = collator

    def __call__(self, examples: list[Any]) -> Any:
        import torch

        batch = self._collator(examples)
        batch["position_ids"] = torch.arange(batch["input_ids"].shape[1])[None]
        return batch


def test_rows_that_see_each_other_are_noticed_and_padded(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = TransformersEngine.make_trainer

    def broken(self: Any, **about: Any) -> Any:
        trainer = make(self, **about)
        if about["arguments"].padding_free:
            trainer.data_collator = _Joined(trainer.data_collator)
        return trainer

    monkeypatch.setattr(TransformersEngine, "make_trainer", broken)
    events = train(tiny_model, tmp_path, padding_free=True)
    assert [one for one in events if isinstance(one, RunWarned) and "padded" in one.message]
    assert len(losses(events)) == CONFIG.max_steps


def test_a_probe_that_cannot_see_a_neighbour_proves_nothing() -> None:
    blind = isolation.Isolation(between_neighbours=0.0, from_alone=0.0, control=0.0)
    assert not blind.holds
    leaking = isolation.Isolation(between_neighbours=0.05, from_alone=0.05, control=0.7)
    assert not leaking.holds
    proven = isolation.Isolation(between_neighbours=0.0, from_alone=0.01, control=0.7)
    assert proven.holds

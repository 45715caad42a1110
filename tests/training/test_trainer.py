"""Checkpoints are also saved when asked for in between, and by the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import CheckpointSaved, Event
from medqlora.models.loader import engine_for
from medqlora.persistence.checkpoints import CheckpointManager
from medqlora.training.trainer import QLoRATrainer


def test_a_checkpoint_beyond_the_schedule_is_saved_when_asked(
    tiny_model: Path, tmp_path: Path
) -> None:
    asked = iter([False, True, False, False])
    assert saved_steps(tiny_model, tmp_path, should_save=lambda: next(asked)) == [2, 4]


def test_a_checkpoint_is_saved_when_the_last_is_too_old(tiny_model: Path, tmp_path: Path) -> None:
    assert saved_steps(tiny_model, tmp_path, save_minutes=1e-6) == [1, 2, 3, 4]


def saved_steps(tiny_model: Path, tmp_path: Path, **options: Any) -> list[int]:
    from datasets import Dataset

    config = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=4, save_steps=100)
    engine = engine_for(config)
    loaded = engine.load_base(str(tiny_model), config)
    checkpoints = CheckpointManager(tmp_path / "checkpoints")
    events: list[Event] = []
    rows = [{"question": f"What is {i}?", "answer": f"It is {i}."} for i in range(16)]
    QLoRATrainer(
        engine.attach_adapter(loaded.model, config),
        loaded.tokenizer,
        config.training_arguments(checkpoints.staging, num_entries=16),
        engine=engine,
        checkpoints=checkpoints,
        sink=events.append,
        **options,
    ).train(Dataset.from_list(rows))
    return [one.step for one in events if isinstance(one, CheckpointSaved)]

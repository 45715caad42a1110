"""A checkpoint that is asked for in between is saved, once."""

from __future__ import annotations

from pathlib import Path

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import CheckpointSaved, Event
from medqlora.models.loader import engine_for
from medqlora.persistence.checkpoints import CheckpointManager
from medqlora.training.trainer import QLoRATrainer


def test_a_checkpoint_beyond_the_schedule_is_saved_when_asked(
    tiny_model: Path, tmp_path: Path
) -> None:
    from datasets import Dataset

    config = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=4, save_steps=100)
    engine = engine_for(config)
    loaded = engine.load_base(str(tiny_model), config)
    checkpoints = CheckpointManager(tmp_path / "checkpoints")
    asked = iter([False, True, False, False])
    events: list[Event] = []
    rows = [{"question": f"What is {i}?", "answer": f"It is {i}."} for i in range(16)]
    QLoRATrainer(
        engine.attach_adapter(loaded.model, config),
        loaded.tokenizer,
        config.training_arguments(checkpoints.staging, num_entries=16),
        engine=engine,
        checkpoints=checkpoints,
        sink=events.append,
        should_save=lambda: next(asked),
    ).train(Dataset.from_list(rows))
    assert [one.step for one in events if isinstance(one, CheckpointSaved)] == [2, 4]

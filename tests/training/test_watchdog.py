"""Training that is lost stops within a step; training that is useless is told, with the reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import CheckpointSaved, Event, RunWarned, StepLogged
from medqlora.errors import DataError, NonFiniteLossError
from medqlora.models.loader import engine_for
from medqlora.models.transformers_engine import TransformersEngine
from medqlora.persistence.checkpoints import CheckpointManager
from medqlora.training.trainer import QLoRATrainer
from medqlora.training.watchdog import NUM_OVERFLOWS, TrainingWatchdog

Break = Callable[[Any, dict[str, Any]], None]
CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=4, save_steps=1, max_seq_length=128)
ROWS = [{"question": f"What is {i}?", "answer": f"It is {i}."} for i in range(16)]


class BrokenEngine(TransformersEngine):
    """An engine in whose trainer something goes wrong, before or after each forward pass."""

    def __init__(self, before: Break | None = None, after: Break | None = None) -> None:
        self.before, self.after = before, after

    def make_trainer(self, **options: Any) -> Any:
        trainer = super().make_trainer(**options)
        original = trainer.training_step

        def training_step(model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
            if self.before:
                self.before(trainer, inputs)
            loss = original(model, inputs, *rest, **named)
            if self.after:
                self.after(trainer, inputs)
            return loss

        trainer.training_step = training_step
        return trainer


class Run:
    """A training in this process."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.model = model
        self.checkpoints = CheckpointManager(folder / "checkpoints")
        self.events: list[Event] = []

    def train(
        self,
        config: QLoRAConfig = CONFIG,
        *,
        engine: TransformersEngine | None = None,
        rows: list[dict[str, Any]] = ROWS,
    ) -> None:
        from datasets import Dataset

        engine = engine or TransformersEngine()
        loaded = engine_for(config).load_base(str(self.model), config)
        QLoRATrainer(
            engine.attach_adapter(loaded.model, config),
            loaded.tokenizer,
            config.training_arguments(self.checkpoints.staging, num_entries=len(rows)),
            engine=engine,
            checkpoints=self.checkpoints,
            sink=self.events.append,
        ).train(Dataset.from_list(rows))

    def steps(self) -> list[StepLogged]:
        return [one for one in self.events if isinstance(one, StepLogged)]

    def saved(self) -> list[int]:
        return [one.step for one in self.events if isinstance(one, CheckpointSaved)]

    def warnings(self) -> list[str]:
        return [one.message for one in self.events if isinstance(one, RunWarned)]


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path) -> Run:
    return Run(tiny_model, tmp_path)


def adapter_weight(trainer: Any) -> Any:
    return next(one for name, one in trainer.model.named_parameters() if "lora_B" in name)


def at_step(step: int, act: Callable[[Any], None]) -> Break:
    def broken(trainer: Any, _: dict[str, Any]) -> None:
        if trainer.state.global_step + 1 == step:
            act(trainer)

    return broken


def test_a_loss_that_is_not_a_number_stops_at_its_step_and_is_shown_as_it_is(run: Run) -> None:
    def poison(trainer: Any) -> None:
        adapter_weight(trainer).data[0, 0] = math.nan

    with pytest.raises(NonFiniteLossError, match="loss of step 3"):
        run.train(engine=BrokenEngine(before=at_step(3, poison)))
    assert [one.step for one in run.steps()] == [1, 2, 3]
    assert math.isnan(run.steps()[-1].loss)
    assert run.saved() == [1, 2]
    assert run.checkpoints.validate(2).step == 2


def test_a_gradient_that_is_infinite_stops_at_its_step_though_the_loss_is_fine(run: Run) -> None:
    def explode(trainer: Any) -> None:
        adapter_weight(trainer).grad[0, 0] = math.inf

    # Saved at other steps: what the step did to the weights is found all the same.
    with pytest.raises(NonFiniteLossError, match="gradient of step 3"):
        run.train(CONFIG.changed(save_steps=2), engine=BrokenEngine(after=at_step(3, explode)))
    assert math.isfinite(run.steps()[-1].loss)
    assert run.saved() == [2]


def test_an_adapter_with_weights_that_are_no_numbers_is_never_saved(run: Run) -> None:
    def poison_unseen(trainer: Any) -> None:
        adapter_weight(trainer).data[0, 0] = math.nan

    with pytest.raises(NonFiniteLossError, match="weights that are not numbers"):
        run.train(engine=BrokenEngine(after=at_step(3, poison_unseen)))
    assert run.saved() == [1, 2]
    assert run.checkpoints.newest_step() == 2
    assert list(run.checkpoints.staging.glob("checkpoint-*")) == []


def test_a_loss_of_exactly_zero_is_told(run: Run) -> None:
    def mask(_: Any, inputs: dict[str, Any]) -> None:
        inputs["labels"][:] = -100

    run.train(engine=BrokenEngine(before=mask))
    assert [one.loss for one in run.steps()] == [0.0] * 4
    [zero] = [one for one in run.warnings() if "loss of step 1 is exactly 0" in one]
    assert "nothing is learned" in zero
    assert any("gradient of step 1 is exactly 0" in one for one in run.warnings())


@pytest.mark.parametrize("num_masked", [16, 3])
def test_masked_labels_are_found_before_the_first_step(run: Run, num_masked: int) -> None:
    rows = [
        {"input_ids": [5, 6, 7, 8], "labels": [-100] * 4 if i < num_masked else [-100, 6, 7, 8]}
        for i in range(16)
    ]
    if num_masked == 16:
        with pytest.raises(DataError, match="All labels are masked"):
            run.train(rows=rows)
        assert run.steps() == []
    else:
        run.train(rows=rows)
        assert any("All labels of 3 of the 16 entries" in one for one in run.warnings())


def test_a_loss_that_grows_to_three_times_its_start_is_told(run: Run) -> None:
    def break_the_model(trainer: Any) -> None:
        trainer.model.get_output_embeddings().weight.data *= 60

    run.train(
        CONFIG.changed(max_steps=20, save_steps=100),
        engine=BrokenEngine(before=at_step(8, break_the_model)),
    )
    assert run.steps()[-1].loss > 3 * run.steps()[0].loss
    [diverged] = [one for one in run.warnings() if "times that of the start" in one]
    assert "3 times" in diverged
    assert "at step 17" in diverged


def test_a_loss_that_does_not_fall_is_told_once(run: Run) -> None:
    run.train(
        CONFIG.changed(
            learning_rate=1e-6, max_steps=115, save_steps=200, lr_scheduler_type="constant"
        )
    )
    assert len([one for one in run.warnings() if "has not fallen in the last 100" in one]) == 1


def test_a_run_that_learns_is_not_warned_about(run: Run) -> None:
    run.train(CONFIG.changed(learning_rate=5e-3, max_steps=20, save_steps=100))
    assert run.warnings() == []


def test_float16_that_overflows_again_and_again_is_told() -> None:
    import torch

    events: list[Event] = []
    watchdog = TrainingWatchdog(events.append, skips_overflows=True)
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    for step in range(1, NUM_OVERFLOWS + 3):
        # Beyond float16's largest number at every scale.
        loss = (weight.to(torch.float16) * 60000).sum() * 60000
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norm = float(torch.nn.utils.clip_grad_norm_([weight], 1.0))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        assert not math.isfinite(norm)
        watchdog.see(step, loss=2.0, grad_norm=norm, learning_rate=1.0)
    assert weight.tolist() == [1.0, 1.0]
    [warned] = [one for one in events if isinstance(one, RunWarned)]
    assert f"{NUM_OVERFLOWS} steps one after another" in warned.message


def test_single_overflows_of_float16_are_its_way_of_finding_the_scale() -> None:
    events: list[Event] = []
    watchdog = TrainingWatchdog(events.append, skips_overflows=True)
    for step in range(1, 30):
        norm = math.inf if step % 9 else 1.0
        watchdog.see(step, loss=2.0, grad_norm=norm, learning_rate=1e-4)
    assert events == []

"""Everything at once: what needs the machine is refused, nothing is harmed."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import CheckpointSaved, Outcome, StepLogged
from medqlora.domain.generation import GenerationSettings
from medqlora.errors import GpuBusyError, PersistenceError
from medqlora.services import Services, cells
from tests.waiting import wait_for_end, wait_for_step, wait_until

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=4, save_steps=2, max_seq_length=128)
LONG = CONFIG.changed(max_steps=4000, save_steps=1)
TURNS = [{"role": "user", "content": "What does lab value 3 mean?"}]


@pytest.fixture
def services(services: Services, qa_file: Path) -> Services:
    """With a dataset."""
    services.datasets.prepare(qa_file)
    return services


def dataset(services: Services) -> str:
    [card] = services.datasets.cards()
    return card.dataset_id


def ask(services: Services, run_id: str) -> None:
    settings = GenerationSettings(max_new_tokens=8)
    list(services.chat.stream(run_id, base_turns=TURNS, tuned_turns=TURNS, settings=settings))


def exported_weights(archive: Path) -> str:
    with zipfile.ZipFile(archive) as zipped:
        assert zipped.testzip() is None
        assert json.loads(zipped.read("adapter/metadata.json"))["training_config"]
        return hashlib.sha256(zipped.read("adapter/adapter_model.safetensors")).hexdigest()


def test_an_adapter_is_exported_whole_even_in_the_moment_in_which_it_is_saved(
    services: Services,
) -> None:
    run_id = services.training.start(CONFIG, dataset(services))
    archives: list[Path] = []

    def is_exported() -> bool:
        try:
            archives.append(cells.save(services, run_id))
        except PersistenceError:
            assert services.training.snapshot(run_id).state != "succeeded"
            return False  # it is not there yet: never half of it
        return True

    wait_until(is_exported)
    early = exported_weights(archives[0])
    assert wait_for_end(services.training, run_id).state == "succeeded"
    assert exported_weights(cells.save(services, run_id)) == early

    # While a second run trains, whatever needs the machine is refused, and the run goes on.
    training = services.training.start(LONG, dataset(services))
    wait_for_step(services.training, training, 2)
    with pytest.raises(GpuBusyError, match=training):
        services.evaluation.start(run_id, limit=2)
    with pytest.raises(GpuBusyError, match=training):
        ask(services, run_id)
    with pytest.raises(GpuBusyError, match=training):
        services.training.start(CONFIG, dataset(services))
    with pytest.raises(GpuBusyError, match="still running"):
        services.training.delete(training)
    services.training.delete(run_id)  # another one may be
    assert [run.run_id for run in services.training.runs()] == [training]
    assert services.evaluation.evaluations() == ()
    seen = services.training.snapshot(training).last_step
    assert seen is not None
    wait_for_step(services.training, training, seen.step + 2)
    services.training.stop(training)
    assert wait_for_end(services.training, training).state == "stopped"


def test_stop_while_loading_and_while_saving_is_polite_and_can_be_pressed_twice(
    services: Services,
) -> None:
    training = services.training
    run_id = training.start(LONG, dataset(services))
    directory = training.directory(run_id)
    wait_until(lambda: training.snapshot(run_id).phase == "Loading the libraries")
    training.stop(run_id)
    training.stop(run_id)
    snapshot = wait_for_end(training, run_id)
    assert (snapshot.state, snapshot.checkpoint_step) == ("stopped", 0)
    assert snapshot.can_resume

    training.resume(run_id)
    wait_for_step(training, run_id, 2)
    wait_until(lambda: any(directory.checkpoints.glob(".staging/*")))
    training.stop(run_id)
    training.stop(run_id)
    snapshot = wait_for_end(training, run_id)
    assert snapshot.state == "stopped"
    events = directory.read_events()
    steps = [event.step for event in events if isinstance(event, StepLogged)]
    saved = [event.step for event in events if isinstance(event, CheckpointSaved)]
    assert steps == list(range(1, len(steps) + 1))
    assert saved[-1] == steps[-1] == snapshot.checkpoint_step
    assert sum(isinstance(event, Outcome) for event in events) == snapshot.attempt == 2

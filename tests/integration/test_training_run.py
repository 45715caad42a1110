"""A run from a file to two answers, through the services, with real worker processes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import CheckpointSaved, EvalLogged, RunFailed, RunStarted, StepLogged
from medqlora.domain.generation import GenerationSettings
from medqlora.domain.snapshot import RunSnapshot
from medqlora.errors import EvaluationError, GpuBusyError, PersistenceError
from medqlora.persistence.adapters import AdapterSaver
from medqlora.persistence.workspace import Workspace
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.process import recorded_process
from medqlora.services import Services
from tests.waiting import wait_for_end, wait_for_step, wait_until

CONFIG = QLoRAConfig(
    EMBEDDED_MODEL,
    rank=4,
    alpha=8,
    dropout=0.1,
    learning_rate=1e-3,
    max_steps=8,
    save_steps=3,
    max_seq_length=128,
)
LONG = CONFIG.changed(max_steps=4000)


@pytest.fixture
def services(tiny_workspace: Workspace) -> Iterator[Services]:
    services = Services.open(tiny_workspace.root)
    yield services
    services.close()
    run_id = services.training.current()
    if run_id:
        services.training.stop(run_id)
        wait_for_end(services.training, run_id)


def weights(services: Services, run_id: str) -> str:
    file = services.training.directory(run_id).adapter / "adapter_model.safetensors"
    return hashlib.sha256(file.read_bytes()).hexdigest()


def shown_steps(snapshot: RunSnapshot) -> list[float]:
    return [point.x for point in snapshot.traces["loss"]]


def test_a_file_becomes_an_adapter_whose_answers_can_be_compared(
    services: Services, qa_file: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    run_id = services.training.start(CONFIG, card.dataset_id)
    assert services.training.current() == run_id
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    assert shown_steps(snapshot) == list(range(1, 9))
    assert all(math.isfinite(point.y) for point in snapshot.traces["loss"])
    held_out = [point.y for point in snapshot.traces["eval_loss"]]
    assert held_out[-1] < held_out[0]
    assert snapshot.peak_memory_gib > 0

    directory = services.training.directory(run_id)
    events = directory.read_events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[0] == next(event for event in events if isinstance(event, RunStarted))
    assert [event.step for event in events if isinstance(event, CheckpointSaved)] == [3, 6, 8]
    assert next(event.step for event in events if isinstance(event, EvalLogged)) == 0
    metadata = AdapterSaver.metadata(str(directory.adapter))
    assert metadata["dataset_info"]["sha256"] == card.sha256
    [summary] = services.training.runs()
    assert summary.has_adapter
    assert summary.eval_loss == held_out[-1]

    evaluation_id = services.evaluation.start(run_id, limit=3, max_new_tokens=8)
    evaluated = wait_for_end(services.evaluation, evaluation_id)
    assert evaluated.state == "succeeded", evaluated.messages
    items = services.evaluation.items(evaluation_id)
    assert [item.index for item in items] == [1, 2, 3]
    assert all(set(item.base.scores) == set(item.finetuned.scores) for item in items)
    log = services.evaluation.directory(evaluation_id).events.read_text(encoding="utf-8")
    assert "lab value" not in log

    turns = [{"role": "user", "content": "What does lab value 3 mean?"}]
    settings = GenerationSettings(max_new_tokens=12)
    updates = list(
        services.chat.stream(run_id, base_turns=turns, tuned_turns=turns, settings=settings)
    )
    assert updates[-1].is_done
    assert updates[-1].base_text != updates[-1].tuned_text
    # The checkpoint of the last step says what the adapter says, word for word, in one batch.
    [*_, beside] = services.chat.stream(
        run_id,
        base_turns=turns,
        tuned_turns=turns,
        settings=settings,
        left="tuned",
        right="step:8",
    )
    assert beside.base_text == beside.tuned_text == updates[-1].tuned_text
    with pytest.raises(GpuBusyError, match="chat"):
        GpuLease.acquire(services.workspace.machine_lock, holder="another server")
    # A job that needs the machine gets it: the idle chat gives it back.
    second = services.training.start(CONFIG.changed(max_steps=1), card.dataset_id)
    assert wait_for_end(services.training, second).state == "succeeded"


def test_a_stopped_run_and_a_killed_run_end_with_the_weights_of_an_uninterrupted_one(
    services: Services, qa_file: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    training = services.training
    config = CONFIG.changed(max_steps=40, save_steps=5)
    reference = training.start(config, card.dataset_id)
    assert wait_for_end(training, reference).state == "succeeded"

    stopped = training.start(config, card.dataset_id)
    wait_for_step(training, stopped, 4)
    training.stop(stopped)
    training.stop(stopped)
    snapshot = wait_for_end(training, stopped)
    assert snapshot.state == "stopped"
    assert snapshot.last_step is not None
    assert snapshot.checkpoint_step == snapshot.last_step.step
    assert not training.directory(stopped).adapter.exists()
    training.resume(stopped)
    snapshot = wait_for_end(training, stopped)
    assert snapshot.state == "succeeded", snapshot.messages
    assert snapshot.attempt == 2
    assert shown_steps(snapshot) == list(range(1, 41))
    assert weights(services, stopped) == weights(services, reference)

    killed = training.start(config, card.dataset_id)
    wait_for_step(training, killed, 12)
    worker = recorded_process(training.directory(killed).worker_file)
    assert worker is not None
    worker.kill()
    snapshot = wait_for_end(training, killed)
    assert isinstance(snapshot.outcome, RunFailed)
    assert snapshot.outcome.code == "killed"
    training.resume(killed)
    snapshot = wait_for_end(training, killed)
    assert snapshot.state == "succeeded", snapshot.messages
    assert shown_steps(snapshot) == list(range(1, 41))
    assert weights(services, killed) == weights(services, reference)
    losses = {
        event.step: event.loss
        for event in training.directory(reference).read_events()
        if isinstance(event, StepLogged)
    }
    assert {point.x: point.y for point in snapshot.traces["loss"]} == losses


def test_starting_twenty_times_starts_one(services: Services, qa_file: Path) -> None:
    card = services.datasets.prepare(qa_file)
    run_id = services.training.start(LONG, card.dataset_id)
    for _ in range(19):
        with pytest.raises(GpuBusyError) as refused:
            services.training.start(LONG, card.dataset_id)
        assert refused.value.holder == run_id
    assert len(services.training.runs()) == 1
    with pytest.raises(EvaluationError, match="no adapter"):
        services.evaluation.start(run_id)
    with pytest.raises(PersistenceError, match="nothing to resume"):
        services.training.resume(run_id)


def test_a_server_that_restarts_finds_its_run_and_can_stop_it(
    services: Services, qa_file: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    run_id = services.training.start(LONG, card.dataset_id)
    wait_for_step(services.training, run_id, 2)
    restarted = Services.open(services.workspace.root)
    restarted.attach()
    assert restarted.training.current() == run_id
    wait_for_step(restarted.training, run_id, 4)
    restarted.training.stop(run_id)
    assert wait_for_end(restarted.training, run_id).state == "stopped"
    ends = [
        event
        for event in restarted.training.directory(run_id).read_events()
        if event.kind in ("run_succeeded", "run_stopped", "run_failed")
    ]
    assert len(ends) == 1


def test_a_server_that_restarts_after_its_worker_died_offers_to_resume(
    services: Services, qa_file: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    run_id = services.training.start(LONG, card.dataset_id)
    wait_for_step(services.training, run_id, 4)
    directory = services.training.directory(run_id)
    # What a restarted server finds: a log without an end, and no such process.
    frozen = directory.events.read_bytes()
    services.training.stop(run_id)
    wait_for_end(services.training, run_id)
    directory.events.write_bytes(frozen)
    restarted = Services.open(services.workspace.root)
    restarted.attach()
    snapshot = restarted.training.snapshot(run_id)
    assert isinstance(snapshot.outcome, RunFailed)
    assert snapshot.can_resume
    assert restarted.training.current() is None
    wait_until(lambda: restarted.training.runs()[0].state == "failed", seconds=5)

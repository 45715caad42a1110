"""Memory runs out while models are asked: fewer at once, then a sentence; answers stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import RunFailed
from medqlora.domain.generation import GenerationSettings
from medqlora.errors import ModelOutOfMemoryError, OutOfMemoryError
from medqlora.services import Services
from tests.faults.faulty_worker import Inject
from tests.waiting import wait_for_end

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=1, max_seq_length=128)
TURNS = [{"role": "user", "content": "What does lab value 3 mean?"}]
QUESTIONS = [f"What does lab value {i} mean?" for i in range(5)]


def ask(services: Services, run_id: str) -> str:
    evaluation_id = services.evaluation.start(run_id, queries=QUESTIONS, max_new_tokens=4)
    wait_for_end(services.evaluation, evaluation_id)
    return evaluation_id


def failure(services: Services, run_id: str) -> RunFailed:
    outcome = services.evaluation.snapshot(ask(services, run_id)).outcome
    assert isinstance(outcome, RunFailed)
    return outcome


def chat(services: Services, run_id: str) -> None:
    settings = GenerationSettings(max_new_tokens=4)
    list(services.chat.stream(run_id, base_turns=TURNS, tuned_turns=TURNS, settings=settings))


def test_fewer_are_asked_at_once_and_what_does_not_fit_is_a_sentence(
    services: Services, qa_file: Path, inject: Inject
) -> None:
    card = services.datasets.prepare(qa_file)
    run_id = services.training.start(CONFIG, card.dataset_id)
    assert wait_for_end(services.training, run_id).state == "succeeded"

    inject("memory_short_in_asking", rows=4)
    evaluation_id = ask(services, run_id)
    snapshot = services.evaluation.snapshot(evaluation_id)
    assert snapshot.state == "succeeded", snapshot.messages
    items = services.evaluation.items(evaluation_id)
    assert [one.index for one in items] == [1, 2, 3, 4, 5]

    inject("memory_short_in_asking", rows=1)
    outcome = failure(services, run_id)
    assert outcome.code == "out_of_memory"
    assert outcome.message == "Memory ran out with a single question."
    with pytest.raises(OutOfMemoryError, match="Memory ran out with a single question"):
        chat(services, run_id)

    inject("memory_short_in_loading", fits="nothing", where="ram")
    services.chat.close()
    outcome = failure(services, run_id)
    assert outcome.code == "out_of_memory_loading"
    assert EMBEDDED_MODEL in outcome.message
    assert "Close other programs and chats" in outcome.hint
    with pytest.raises(ModelOutOfMemoryError, match="Memory ran out while the model"):
        chat(services, run_id)

"""A chat process that hangs, is slow or dies keeps nobody waiting for ever."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.generation import GenerationSettings
from medqlora.errors import ModelError
from medqlora.services import Services, chat_process
from tests.waiting import wait_for_end

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=2, max_seq_length=128)
TURNS = [{"role": "user", "content": "What does lab value 3 mean?"}]
SHORT = GenerationSettings(max_new_tokens=4)
LONG = GenerationSettings(max_new_tokens=512)


@pytest.fixture
def run_id(services: Services, qa_file: Path) -> str:
    """A trained run."""
    card = services.datasets.prepare(qa_file)
    trained = services.training.start(CONFIG, card.dataset_id)
    assert wait_for_end(services.training, trained).state == "succeeded"
    return trained


def test_a_frozen_answer_is_ended_and_the_next_question_is_answered(
    services: Services, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = services.chat.stream(run_id, base_turns=TURNS, tuned_turns=TURNS, settings=LONG)
    assert any(update.phase == "Answering" for update in asked)
    worker = services.chat._worker
    assert worker is not None
    worker._process.suspend()
    monkeypatch.setattr(worker, "_silent_seconds", 3.0)
    begun = time.monotonic()
    with pytest.raises(ModelError, match="said nothing for too long"):
        list(asked)
    assert time.monotonic() - begun < 60
    *_, last = services.chat.stream(run_id, base_turns=TURNS, tuned_turns=TURNS, settings=SHORT)
    assert last.is_done


def test_a_silent_process_is_told_every_second_and_can_be_left(
    services: Services, run_id: str
) -> None:
    asked = services.chat.stream(run_id, base_turns=TURNS, tuned_turns=TURNS, settings=LONG)
    assert any(update.phase == "Answering" for update in asked)
    worker = services.chat._worker
    assert worker is not None
    worker._process.suspend()
    while not worker._heard.empty():  # what was said before the freeze
        next(asked)
    begun = time.monotonic()
    assert next(asked).phase == "Answering"
    assert time.monotonic() - begun < 5 * chat_process.TOLD_SECONDS
    asked.close()  # type: ignore[attr-defined]
    worker._process.resume()
    *_, last = services.chat.stream(run_id, base_turns=TURNS, tuned_turns=TURNS, settings=SHORT)
    assert last.is_done
    assert services.chat._worker is worker


def test_a_killed_process_is_said_to_have_ended(services: Services, run_id: str) -> None:
    asked = services.chat.stream(run_id, base_turns=TURNS, tuned_turns=TURNS, settings=LONG)
    assert any(update.phase == "Answering" for update in asked)
    worker = services.chat._worker
    assert worker is not None
    worker._process.kill()
    with pytest.raises(ModelError, match="has ended"):
        list(asked)
    *_, last = services.chat.stream(run_id, base_turns=TURNS, tuned_turns=TURNS, settings=SHORT)
    assert last.is_done

"""What the tests of a run's faults ask about a run."""

from __future__ import annotations

import hashlib
from typing import TypeVar

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import Event, Outcome, RunStarted, RunWarned
from medqlora.services import Services

Some = TypeVar("Some", bound=Event)

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


def events_of(services: Services, run_id: str, kind: type[Some]) -> list[Some]:
    """The events of one type, in order."""
    events = services.training.directory(run_id).read_events()
    return [event for event in events if isinstance(event, kind)]


def warnings_of(services: Services, run_id: str) -> str:
    """All warnings, in one text."""
    warned = events_of(services, run_id, RunWarned)
    return "\n".join(f"{one.message} {one.hint}" for one in warned)


def assert_one_end_each(services: Services, run_id: str) -> None:
    """Every attempt has begun once and ended once, in turn."""
    events = services.training.directory(run_id).read_events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    turns = [isinstance(one, Outcome) for one in events if isinstance(one, RunStarted | Outcome)]
    assert turns == [False, True] * (len(turns) // 2)


def weights(services: Services, run_id: str) -> str:
    """Hash of the finished adapter."""
    file = services.training.directory(run_id).adapter / "adapter_model.safetensors"
    return hashlib.sha256(file.read_bytes()).hexdigest()

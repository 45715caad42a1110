"""ChatService: one prompt to the base and the fine-tuned model at once, streamed.

One process (`chat_process`) is kept for the two models that were asked last. It holds the machine's
lease while it lives and ends by itself when nobody asked for a while, or when a job needs the
machine and it is idle. Nothing that is said reaches a disk.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from pathlib import Path

from medqlora.data.prompts import clinical_prompts
from medqlora.domain.generation import BASE, GenerationSettings
from medqlora.errors import EvaluationError
from medqlora.persistence.workspace import Workspace
from medqlora.runs.gpu_lease import GpuLease
from medqlora.services.chat_checks import Conversation, check_conversation, check_settings
from medqlora.services.chat_process import Adapters, ChatProcess
from medqlora.services.chat_sides import TUNED, Side, sides_of, two_sides
from medqlora.services.chat_updates import ChatUpdate
from medqlora.services.training import TrainingService
from medqlora.services.turns import Turns

__all__ = [
    "BASE",
    "TUNED",
    "ChatService",
    "ChatUpdate",
    "GenerationSettings",
    "Side",
    "clinical_prompts",
]

IDLE_SECONDS = 300.0
WAITING_TOLD_SECONDS = 1.0


class ChatService:
    """Answers prompts one after the other, in the order in which they were sent.

    Args:
        workspace: Whose machine lock counts.
        training: The runs whose adapters are asked.
    """

    def __init__(self, workspace: Workspace, training: TrainingService) -> None:
        self._workspace = workspace
        self._training = training
        self._turns = Turns()
        self._worker: ChatProcess | None = None
        self._idle_timer: threading.Timer | None = None

    def stream(
        self,
        run_id: str,
        *,
        base_turns: Conversation,
        tuned_turns: Conversation,
        settings: GenerationSettings,
        left: str = BASE,
        right: str = TUNED,
    ) -> Generator[ChatUpdate, None, None]:
        """Both models' answers as they grow; see `stream_adapter`.

        Args:
            run_id: A run with an adapter.
            base_turns: The conversation with the base model.
            tuned_turns: The conversation with the fine-tuned model.
            settings: How answers are drawn.
            left: Key of the model that stands at the left, `chat_sides.Side.key`.
            right: Key of the model at the right.
        """
        first, second = two_sides(self._training, run_id, left, right)
        return self._stream(
            (first.adapter, second.adapter),
            base_turns=base_turns,
            tuned_turns=tuned_turns,
            settings=settings,
        )

    def stream_adapter(
        self,
        adapter: Path,
        *,
        base_turns: Conversation,
        tuned_turns: Conversation,
        settings: GenerationSettings,
    ) -> Generator[ChatUpdate, None, None]:
        """Both models' answers as they grow; closing the iterator cancels them.

        Args:
            adapter: Folder of an adapter.
            base_turns: The conversation with the base model, the last turn by the user.
            tuned_turns: The conversation with the fine-tuned model, likewise.
            settings: How answers are drawn.

        Raises:
            EvaluationError: The run has no adapter, or the question is empty or too long.
            GpuBusyError: A job has the machine.
            ModelError: The model cannot be loaded, or its process ended.
        """
        if not adapter.is_dir():
            raise EvaluationError(
                "This run has no adapter yet.",
                hint="Let it train to its end, or choose a finished run.",
            )
        return self._stream(
            (None, adapter), base_turns=base_turns, tuned_turns=tuned_turns, settings=settings
        )

    def sides(self, run_id: str) -> tuple[Side, ...]:
        """The models that can be asked beside a run's."""
        return sides_of(self._training, run_id)

    def _stream(
        self,
        adapters: Adapters,
        *,
        base_turns: Conversation,
        tuned_turns: Conversation,
        settings: GenerationSettings,
    ) -> Generator[ChatUpdate, None, None]:
        check_conversation(base_turns)
        check_conversation(tuned_turns)
        check_settings(settings)
        ticket = self._turns.take()
        try:
            yield ChatUpdate(phase="Waiting for a turn")
            # Told every second, so that somebody who went away leaves the queue.
            while ahead := self._turns.ahead(ticket, wait_seconds=WAITING_TOLD_SECONDS):
                yield ChatUpdate(phase=f"Waiting for a turn: {ahead} before you")
            self._stop_idle_timer()
            try:
                worker = self._worker_for(adapters)
                yield from worker.ask(base_turns, tuned_turns, settings)
            finally:
                self._start_idle_timer()
        finally:
            self._turns.leave(ticket)

    def close_if_idle(self) -> None:
        """Gives the machine back unless an answer is being given."""
        ticket = self._turns.take_if_free()
        if ticket is not None:
            try:
                self._close_worker()
            finally:
                self._turns.leave(ticket)

    def close(self) -> None:
        """Ends the worker, whatever it is doing."""
        self._stop_idle_timer()
        self._close_worker()

    def _worker_for(self, adapters: Adapters) -> ChatProcess:
        if self._worker and (self._worker.adapters != adapters or not self._worker.is_alive):
            self._close_worker()
        if self._worker is None:
            lease = GpuLease.acquire(self._workspace.machine_lock, holder="chat on Compare")
            self._worker = ChatProcess(adapters, self._workspace.models, lease)
        return self._worker

    def _close_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker:
            worker.close()

    def _start_idle_timer(self) -> None:
        self._idle_timer = threading.Timer(IDLE_SECONDS, self.close_if_idle)
        self._idle_timer.daemon = True
        self._idle_timer.start()

    def _stop_idle_timer(self) -> None:
        if self._idle_timer:
            self._idle_timer.cancel()

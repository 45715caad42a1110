"""ChatService: one prompt to the base and the fine-tuned model at once, streamed.

One worker is kept for the adapter that was asked last. It holds the machine's lease while it lives
and ends by itself when nobody asked for a while, or when a job needs the machine and it is idle.
Nothing that is said reaches a disk.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import psutil

from medqlora.data.prompts import clinical_prompts
from medqlora.domain.evaluation import FilterResult
from medqlora.domain.generation import GenerationSettings
from medqlora.errors import ERRORS_BY_CODE, EvaluationError, MedQLoRAError, ModelError
from medqlora.persistence.workspace import Workspace
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.process import start_worker
from medqlora.services.chat_checks import Conversation, check_conversation, check_settings
from medqlora.services.chat_updates import ChatUpdate, filter_result, finished
from medqlora.services.training import TrainingService
from medqlora.services.turns import Turns

__all__ = ["ChatService", "ChatUpdate", "GenerationSettings", "clinical_prompts"]

IDLE_SECONDS = 300.0
CLOSE_GRACE_SECONDS = 5.0
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
        self._worker: _Worker | None = None
        self._idle_timer: threading.Timer | None = None

    def stream(
        self,
        run_id: str,
        *,
        base_turns: Conversation,
        tuned_turns: Conversation,
        settings: GenerationSettings,
    ) -> Iterator[ChatUpdate]:
        """Both models' answers as they grow; see `stream_adapter`.

        Args:
            run_id: A run with an adapter.
            base_turns: The conversation with the base model.
            tuned_turns: The conversation with the fine-tuned model.
            settings: How answers are drawn.
        """
        adapter = self._training.directory(run_id).adapter
        return self.stream_adapter(
            adapter, base_turns=base_turns, tuned_turns=tuned_turns, settings=settings
        )

    def stream_adapter(
        self,
        adapter: Path,
        *,
        base_turns: Conversation,
        tuned_turns: Conversation,
        settings: GenerationSettings,
    ) -> Iterator[ChatUpdate]:
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
        check_conversation(base_turns)
        check_conversation(tuned_turns)
        check_settings(settings)
        if not adapter.is_dir():
            raise EvaluationError(
                "This run has no adapter yet.",
                hint="Let it train to its end, or choose a finished run.",
            )
        ticket = self._turns.take()
        try:
            yield ChatUpdate(phase="Waiting for a turn")
            # Told every second, so that somebody who went away leaves the queue.
            while ahead := self._turns.ahead(ticket, wait_seconds=WAITING_TOLD_SECONDS):
                yield ChatUpdate(phase=f"Waiting for a turn: {ahead} before you")
            self._stop_idle_timer()
            try:
                worker = self._worker_for(adapter)
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

    def _worker_for(self, adapter: Path) -> _Worker:
        if self._worker and (self._worker.adapter != adapter or not self._worker.is_alive):
            self._close_worker()
        if self._worker is None:
            lease = GpuLease.acquire(self._workspace.machine_lock, holder="chat on Compare")
            self._worker = _Worker(adapter, self._workspace.models, lease)
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


class _Worker:
    """One chat process and the pipe to it."""

    def __init__(self, adapter: Path, models_dir: Path, lease: GpuLease) -> None:
        self.adapter = adapter
        self._last_id = 0
        try:
            self._process: psutil.Popen = start_worker(
                "medqlora.runs.chat_worker",
                [str(adapter), str(models_dir)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # what libraries print may quote what was said
                keep_open=[lease.descriptor],
            )
        finally:
            lease.close()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(
        self, base_turns: Conversation, tuned_turns: Conversation, settings: GenerationSettings
    ) -> Iterator[ChatUpdate]:
        self._last_id += 1
        number = self._last_id
        self._send(
            {
                "id": number,
                "base_turns": [dict(turn) for turn in base_turns],
                "tuned_turns": [dict(turn) for turn in tuned_turns],
                "settings": asdict(settings),
            }
        )
        is_over = False
        try:
            for update in self._updates(number):
                is_over = update.is_done
                yield update
        finally:
            if not is_over:
                self._cancel(number)

    def close(self) -> None:
        """Ends the process: its input closes, then it is killed."""
        with suppress(BrokenPipeError):  # it has ended by itself, with a message unread
            self._process.stdin.close()
        try:
            self._process.wait(timeout=CLOSE_GRACE_SECONDS)
        except psutil.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _updates(self, number: int) -> Iterator[ChatUpdate]:
        texts = ["", ""]
        asked: FilterResult | None = None
        begun = time.monotonic()
        yield ChatUpdate(phase="Starting")
        for message in self._messages():
            match message["kind"]:
                case "phase":
                    yield ChatUpdate(phase=message["phase"])
                case "ready":
                    begun = time.monotonic()
                    yield ChatUpdate(phase="Answering")
                case "failed":
                    error = ERRORS_BY_CODE.get(message["code"], MedQLoRAError)
                    raise error(message["message"], hint=message["hint"])
                case "text" if message["id"] == number:
                    texts[message["row"]] = message["text"]
                    yield ChatUpdate(
                        phase="Answering", base_text=texts[0], tuned_text=texts[1], asked=asked
                    )
                case "checked" if message["id"] == number:
                    asked = filter_result(message["filter"])
                    yield ChatUpdate(phase="Answering", asked=asked)
                case "done" if message["id"] == number:
                    yield finished(message["answers"], asked, seconds=time.monotonic() - begun)
                    return

    def _messages(self) -> Iterator[dict[str, Any]]:
        stdout: IO[str] = self._process.stdout
        for line in stdout:
            yield json.loads(line)
        raise ModelError(
            "The process that answers has ended, most likely because memory ran out.",
            hint="Ask again to start it anew; a shorter answer needs less memory.",
        )

    def _send(self, message: dict[str, Any]) -> None:
        stdin: IO[str] = self._process.stdin
        try:
            stdin.write(json.dumps(message, ensure_ascii=False) + "\n")
            stdin.flush()
        except BrokenPipeError as error:
            raise ModelError(
                "The process that answers has ended.", hint="Ask again to start it anew."
            ) from error

    def _cancel(self, number: int) -> None:
        if self.is_alive:
            self._send({"cancel": number})

"""The process that answers in Compare, as the chat service sees it: questions in, answers out.

What it is started with and says is `runs.chat_worker`'s; when it is started and ended, and whose
turn it is, `services.chat`'s.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import psutil

from medqlora.domain.generation import BASE, GenerationSettings
from medqlora.errors import ERRORS_BY_CODE, MedQLoRAError, ModelError
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.process import start_worker
from medqlora.services.chat_checks import Conversation
from medqlora.services.chat_updates import ChatUpdate, filter_result, finished

CLOSE_GRACE_SECONDS = 5.0
TOLD_SECONDS = 1.0
SILENT_SECONDS = 900.0
"""Loading a large model from a slow disk is silent for minutes; longer than this is a hang."""

Adapters = tuple[Path | None, Path | None]
"""Folders of the left and the right model's adapters; None for the base."""


class ChatProcess:
    """One chat process and the pipe to it.

    Args:
        adapters: The models that it answers with.
        models_dir: Where unpacked base models lie.
        lease: The machine's lease, which the process takes over.
        silent_seconds: After so long without a word it counts as hung and is ended.
    """

    def __init__(
        self,
        adapters: Adapters,
        models_dir: Path,
        lease: GpuLease,
        *,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self.adapters = adapters
        self._silent_seconds = silent_seconds
        self._last_id = 0
        try:
            self._process: psutil.Popen = start_worker(
                "medqlora.runs.chat_worker",
                [str(models_dir), *(str(one or BASE) for one in adapters)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # what libraries print may quote what was said
                keep_open=[lease.descriptor],
            )
        finally:
            lease.close()
        self._heard: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, name="chat-answers", daemon=True)
        self._listener.start()

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(
        self, base_turns: Conversation, tuned_turns: Conversation, settings: GenerationSettings
    ) -> Iterator[ChatUpdate]:
        """Both answers as they grow, told at least every second; closing the iterator cancels them.

        Raises:
            MedQLoRAError: What the process said, or that it has ended or hangs.
        """
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
            self._kill()
        self._listener.join(CLOSE_GRACE_SECONDS)

    def _updates(self, number: int) -> Iterator[ChatUpdate]:
        texts = ["", ""]
        told = ChatUpdate(phase="Starting")
        begun = time.monotonic()
        yield told
        for message in self._messages():
            match message["kind"]:
                case "phase":
                    told = ChatUpdate(phase=message["phase"])
                case "ready":
                    begun = time.monotonic()
                    told = ChatUpdate(phase="Answering")
                case "failed":
                    error = ERRORS_BY_CODE.get(message["code"], MedQLoRAError)
                    raise error(message["message"], hint=message["hint"])
                case "text" if message["id"] == number:
                    texts[message["row"]] = message["text"]
                    told = ChatUpdate(
                        phase="Answering", base_text=texts[0], tuned_text=texts[1], asked=told.asked
                    )
                case "checked" if message["id"] == number:
                    told = ChatUpdate(phase="Answering", asked=filter_result(message["filter"]))
                case "done" if message["id"] == number:
                    seconds = time.monotonic() - begun
                    yield finished(message["answers"], told.asked, seconds=seconds)
                    return
            # Also when there is nothing new: who asked may have gone away, or want it to stop.
            yield told

    def _messages(self) -> Iterator[dict[str, Any]]:
        """What the process says, and a "silence" every second in which it says nothing."""
        heard_at = time.monotonic()
        while True:
            try:
                message = self._heard.get(timeout=TOLD_SECONDS)
            except queue.Empty:
                if time.monotonic() - heard_at > self._silent_seconds:
                    self._kill()
                    raise ModelError(
                        "The process that answers said nothing for too long and was ended.",
                        hint="Ask again to start it anew; a shorter answer needs less time.",
                    ) from None
                message = {"kind": "silence"}
            else:
                heard_at = time.monotonic()
            if message is None:
                self._kill()  # its pipe is closed; it may not be gone yet
                raise ModelError(
                    "The process that answers has ended, most likely because memory ran out.",
                    hint="Ask again to start it anew; a shorter answer needs less memory.",
                )
            yield message

    def _listen(self) -> None:
        """Reads what the process says; in a thread of its own, or a hang would spread."""
        with self._process.stdout as stdout:
            for line in stdout:
                self._heard.put(json.loads(line))
        self._heard.put(None)

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

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

"""The process that answers in Compare, as the chat service sees it: questions in, answers out.

What it is started with and says is `runs.chat_worker`'s; when it is started and ended, and whose
turn it is, `services.chat`'s.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import psutil

from medqlora.domain.evaluation import FilterResult
from medqlora.domain.generation import BASE, GenerationSettings
from medqlora.errors import ERRORS_BY_CODE, MedQLoRAError, ModelError
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.process import start_worker
from medqlora.services.chat_checks import Conversation
from medqlora.services.chat_updates import ChatUpdate, filter_result, finished

CLOSE_GRACE_SECONDS = 5.0

Adapters = tuple[Path | None, Path | None]
"""Folders of the left and the right model's adapters; None for the base."""


class ChatProcess:
    """One chat process and the pipe to it.

    Args:
        adapters: The models that it answers with.
        models_dir: Where unpacked base models lie.
        lease: The machine's lease, which the process takes over.
    """

    def __init__(self, adapters: Adapters, models_dir: Path, lease: GpuLease) -> None:
        self.adapters = adapters
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

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(
        self, base_turns: Conversation, tuned_turns: Conversation, settings: GenerationSettings
    ) -> Iterator[ChatUpdate]:
        """Both answers as they grow; closing the iterator cancels them.

        Raises:
            MedQLoRAError: What the process said, or that it has ended.
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

"""The process that answers in Compare.

`python -m medqlora.runs.chat_worker MODELS_DIR LEFT RIGHT` loads two models that share a base once,
each `base` or the folder of an adapter or a checkpoint, and answers requests from its standard
input, one JSON object a line, until the input closes. What is said goes through the pipe only and
is never written to a disk.

In:  {"id": 1, "base_turns": [...], "tuned_turns": [...], "settings": {...}}   or   {"cancel": 1}
Out: {"kind": "phase", "phase": "..."}, {"kind": "ready"},
     {"kind": "text", "id": 1, "row": 0, "text": "..."}  (row 0: left, 1: right),
     {"kind": "checked", "id": 1, "filter": {...}}  (the question, before it is asked),
     {"kind": "done", "id": 1, "answers": [{..., "filter": {...}}, ...]},
     {"kind": "failed", "id": 1, "code": "...", "message": "...", "hint": "..."}

Every `filter` is a `FilterResult`. A question that is not allowed is not asked:
its `done` has no answers.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.generation import BASE, GenerationSettings
from medqlora.errors import MedQLoRAError
from medqlora.evaluation.guard import installed_guard
from medqlora.evaluation.safety import SafetyFilter
from medqlora.models.adapters import AdapterManager
from medqlora.models.engine import BASE_ADAPTER, TUNED_ADAPTER
from medqlora.models.engine_choice import asking_engine
from medqlora.models.generation import generate
from medqlora.models.loader import QuantizedModelLoader
from medqlora.persistence.adapters import AdapterSaver
from medqlora.runs.asking import memory_told, too_little_for_one
from medqlora.runs.chat_safety import AnswerWatch, as_message
from medqlora.runs.process import private_stdout
from medqlora.runs.run_directory import RunDirectory

SECOND_ADAPTER = "second"


class ChatWorker:
    """Answers requests until the input closes.

    Args:
        out: Where replies go.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._cancelled: set[int] = set()

    def load(self, sides: Sequence[str], models_dir: Path) -> None:
        """Loads the base model and the adapters of both sides."""
        folders = list(dict.fromkeys(side for side in sides if side != BASE))
        config = _config(Path(folders[0]))
        loader = QuantizedModelLoader(
            models_dir=models_dir, on_progress=lambda phase, _: self._say(kind="phase", phase=phase)
        )
        self._say(kind="phase", phase="Loading the model")
        engine = asking_engine()
        names = {BASE: BASE_ADAPTER}
        with memory_told(config.model_name):
            loaded = loader.load(config, engine=engine, adapter_path=folders[0])
            adapters = AdapterManager(loaded.model, config, engine=engine)
            for folder, name in zip(folders, (TUNED_ADAPTER, SECOND_ADAPTER), strict=False):
                adapters.load(folder, name=name)
                names[folder] = name
        self._model = adapters.model
        self._adapters = [names[side] for side in sides]
        self._tokenizer = loaded.tokenizer
        self._filter = SafetyFilter(guard=installed_guard(models_dir))
        self._say(kind="ready")

    def listen(self) -> None:
        """Reads requests from standard input.

        A thread of its own, so that a cancel is heard while answering.
        """
        for line in sys.stdin:
            request = json.loads(line)
            if "cancel" in request:
                self._cancelled.add(request["cancel"])
            else:
                self._requests.put(request)
        self._requests.put(None)

    def answer_all(self) -> None:
        """Answers one request after the other until there are no more."""
        while (request := self._requests.get()) is not None:
            try:
                self._answer(request)
            except MedQLoRAError as error:
                self._fail(request["id"], error)
            except (RuntimeError, MemoryError) as error:
                self._fail(request["id"], too_little_for_one(error))

    def fail_to_load(self, error: MedQLoRAError) -> None:
        """Says that there will be no answers."""
        self._fail(0, error)

    def _answer(self, request: dict[str, Any]) -> None:
        number = request["id"]
        watch = AnswerWatch(self._filter, request["tuned_turns"])
        self._say(kind="checked", id=number, filter=as_message(watch.asked))
        if not watch.asked.allowed:
            self._say(kind="done", id=number, answers=[])
            return
        answers = generate(
            self._model,
            self._tokenizer,
            [request["base_turns"], request["tuned_turns"]],
            adapters=self._adapters,
            settings=GenerationSettings(**request["settings"]),
            on_text=lambda row, text: self._say(
                kind="text", id=number, row=row, text=watch.growing(text)
            ),
            should_stop=lambda: number in self._cancelled,
        )
        checked = [as_message(watch.complete(one.text)) for one in answers]
        self._say(
            kind="done",
            id=number,
            answers=[asdict(a) | {"filter": c} for a, c in zip(answers, checked, strict=True)],
        )

    def _fail(self, number: int, error: MedQLoRAError) -> None:
        self._say(kind="failed", id=number, code=error.code, message=error.message, hint=error.hint)

    def _say(self, **message: Any) -> None:
        self._out.write(json.dumps(message, ensure_ascii=False) + "\n")
        self._out.flush()


def _config(adapter_dir: Path) -> QLoRAConfig:
    """The settings that an adapter, or the run of a checkpoint, was trained with."""
    run = RunDirectory(adapter_dir.parent.parent)
    if run.checkpoints == adapter_dir.parent:
        return QLoRAConfig.from_dict(run.spec().config)
    return QLoRAConfig.from_dict(AdapterSaver.metadata(str(adapter_dir))["training_config"])


def main(arguments: list[str] | None = None) -> int:
    """Serves one adapter; the exit code is 0 when the input closed, 1 when loading failed."""
    parser = argparse.ArgumentParser(prog="python -m medqlora.runs.chat_worker")
    parser.add_argument("models_dir", type=Path)
    parser.add_argument("sides", nargs=2, help="base, or the folder of an adapter")
    options = parser.parse_args(arguments)
    worker = ChatWorker(private_stdout())
    try:
        worker.load(options.sides, options.models_dir)
    except MedQLoRAError as error:
        worker.fail_to_load(error)
        return 1
    threading.Thread(target=worker.listen, name="chat-requests", daemon=True).start()
    worker.answer_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())

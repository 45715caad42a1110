"""The Compare tab: one question, and both answers, before and after training, side by side.

Answering is the chat service's; this keeps the two conversations of one browser tab and shows them
grow.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from medqlora.errors import EvaluationError, MedQLoRAError
from medqlora.services import Services
from medqlora.services.chat import BASE, TUNED, ChatUpdate, clinical_prompts
from medqlora.services.conversations import FileKind
from ui import (
    adapter_import,
    compare_settings,
    downloads,
    markup,
    present,
    review_section,
    wording,
)
from ui.compare_settings import Drawing
from ui.compare_view import Turns, displayed, exchanges, shown
from ui.door.roles import for_reviewers
from ui.guard import guarded
from ui.safety_notes import scope
from ui.shared import LIGHT, Shared, opening, phi_warning, tab_name
from ui.streams import Streams

ASKING_AT_ONCE = 8
"""Each question holds a thread of the server while it waits for its turn."""


def build(shared: Shared) -> None:
    """Lays the tab out and wires it."""
    handlers = Handlers(shared.services)
    with gr.Tab("Compare", id=tab_name("Compare"), elem_id=tab_name("Compare")) as tab:
        turns = gr.State({"base": [], "tuned": []})
        told = gr.State("")
        opening("Compare")
        with gr.Row(elem_id="compare-sides"):
            run = gr.Dropdown(label="Trained model", elem_id="compare-run", scale=2)
            left = gr.Dropdown(label="Left", elem_id="compare-left")
            right = gr.Dropdown(label="Right", elem_id="compare-right")
        with gr.Row():
            base = _lay_out_chat(wording.COMPARE_LEFT, "compare-base")
            tuned = _lay_out_chat(wording.COMPARE_RIGHT, "compare-tuned")
        status = gr.HTML(elem_id="compare-status")
        with gr.Row(equal_height=True):
            prompt = gr.Textbox(
                label="Your question",
                placeholder="Ask something that your data is about",
                lines=2,
                scale=6,
                elem_id="compare-prompt",
            )
            with gr.Column(scale=1, min_width=140):
                send = gr.Button(
                    "Send", variant="primary", elem_id="compare-send", interactive=False
                )
                with gr.Row():
                    stop = gr.Button("Stop", elem_id="compare-stop", min_width=60)
                    clear = gr.Button("Clear", elem_id="compare-clear", min_width=60)
        difference = gr.HTML(elem_id="compare-difference")
        _lay_out_library(prompt)
        with gr.Accordion("How the answers are drawn", open=False, elem_id="compare-settings"):
            settings = compare_settings.lay_out()
        with gr.Accordion("What the safety filter does", open=False, elem_id="compare-safety"):
            gr.HTML(scope())
        _lay_out_saving(handlers, [run, left, right, turns, *settings])
        adapter_import.build(shared.services, run)
        review_section.build(shared, tab)
    tab.select(
        guarded(handlers.open),
        [shared.run_id, run, left, right],
        [run, left, right, status, send],
        **LIGHT,
    )
    gr.on(
        [send.click, prompt.submit],
        guarded(handlers.send),
        [run, left, right, prompt, told, turns, *settings],
        [prompt, base, tuned, turns, status, difference, told],
        trigger_mode="once",
        **(LIGHT | {"concurrency_limit": ASKING_AT_ONCE}),
    )
    stop.click(handlers.stopped, None, status, **LIGHT)
    cleared = [prompt, base, tuned, turns, status, difference]
    clear.click(handlers.clear, None, cleared, **LIGHT)
    run.input(guarded(handlers.choose_run), run, [left, right], **LIGHT)
    for one in (run, left, right):
        one.input(handlers.clear, None, cleared, **LIGHT)
    for one, chat in ((left, base), (right, tuned)):
        one.change(guarded(handlers.name_chat), [run, one], chat, **LIGHT)


def _lay_out_chat(label: str, elem_id: str) -> gr.Chatbot:
    return gr.Chatbot(
        label=label,
        elem_id=elem_id,
        height=300,
        layout="bubble",
        placeholder=wording.COMPARE_EMPTY,
        buttons=[],
        reasoning_tags=[("<think>", "</think>")],
    )


def _lay_out_saving(handlers: Handlers, inputs: list[Any]) -> None:
    with gr.Row():
        for kind in ("html", "csv"):
            downloads.one_press(
                f"Save as {kind.upper()}",
                f"compare-save-{kind}",
                for_reviewers(partial(handlers.save, kind)),
                inputs,
                size="sm",
            )


def _lay_out_library(prompt: gr.Textbox) -> None:
    library = clinical_prompts()
    topics = list(library)
    with gr.Row(elem_id="compare-library"):
        topic = gr.Dropdown(
            topics, value=topics[0], label="Prompt library", elem_id="compare-topic", scale=1
        )
        question = gr.Dropdown(
            list(library[topics[0]]),
            value=None,
            label="Choose a question",
            info=wording.LIBRARY_HELP,
            elem_id="compare-question",
            scale=3,
        )
    topic.input(
        guarded(
            for_reviewers(
                lambda chosen: gr.Dropdown(choices=list(library.get(chosen, ())), value=None)
            )
        ),
        topic,
        question,
        **LIGHT,
    )
    question.input(guarded(for_reviewers(lambda chosen: chosen or "")), question, prompt, **LIGHT)


class Handlers:
    """What the tab's controls do.

    Args:
        services: The backend.
    """

    def __init__(self, services: Services) -> None:
        self._training = services.training
        self._chat = services.chat
        self._screening = services.screening
        self._conversations = services.conversations
        self._streams = Streams[list[Any]]()

    @for_reviewers
    def open(
        self, run_id: str, shown: str | None, left: str | None, right: str | None
    ) -> list[Any]:
        """The tab is opened: the model chosen last, else the newest."""
        trained = [one for one in self._training.runs() if one.has_adapter]
        ids = [one.run_id for one in trained]
        wanted = (one for one in (shown, run_id, *ids) if one in ids)
        chosen = next(wanted, None)
        run = gr.Dropdown(choices=present.run_options(trained), value=chosen)
        if chosen is None:
            said = markup.notice(wording.NO_FINISHED_RUN, "warn")
            return [run, gr.skip(), gr.skip(), said, gr.Button()]
        sides = self._sides(chosen, left or BASE, right or TUNED)
        return [run, *sides, markup.notice(wording.COMPARE_READY), gr.Button(interactive=True)]

    @for_reviewers
    def choose_run(self, run_id: str) -> list[Any]:
        """Another run was chosen: it is compared with its base."""
        return self._sides(run_id, BASE, TUNED)

    @for_reviewers
    def name_chat(self, run_id: str | None, key: str | None) -> Any:
        """Another model was chosen on one side: its conversation gets its name."""
        names = self._names(run_id)
        return gr.Chatbot(label=names[key]) if key in names else gr.skip()

    def _sides(self, run_id: str, left: str, right: str) -> list[Any]:
        options = [(one.name, one.key) for one in self._chat.sides(run_id)]
        keys = [key for _, key in options]
        chosen = [key if key in keys else usual for key, usual in ((left, BASE), (right, TUNED))]
        return [gr.Dropdown(choices=options, value=key) for key in chosen]

    def _names(self, run_id: str | None) -> dict[str, str]:
        return {one.key: one.name for one in self._chat.sides(run_id)} if run_id else {}

    @for_reviewers
    def send(
        self,
        run_id: str | None,
        left: str | None,
        right: str | None,
        prompt: str,
        told: str,
        turns: dict[str, Turns],
        request: gr.Request,
        *drawn: Any,
    ) -> Iterator[list[Any]]:
        """Asks both, and shows their answers as they grow."""
        if not run_id:
            raise EvaluationError(
                "There is no trained model yet.", hint="Start a run in Train and let it end."
            )
        drawing = Drawing.of(*drawn)
        typed = f"{drawing.system_prompt}\n{prompt}".strip()
        warning = phi_warning(self._screening, typed, told)
        if warning:
            yield [*[gr.skip()] * 4, warning, gr.skip(), typed]
            return
        asked = {"role": "user", "content": prompt}
        base, tuned = [*turns["base"], asked], [*turns["tuned"], asked]
        updates = self._chat.stream(
            run_id,
            base_turns=drawing.told_to(base),
            tuned_turns=drawing.told_to(tuned),
            settings=drawing.settings,
            left=left or BASE,
            right=right or TUNED,
        )
        known = self._names(run_id)
        names = (known[left or BASE], known[right or TUNED])
        pages = self._pages(updates, base, tuned, names)
        try:
            yield from self._streams.until_ended(request.session_hash, pages)
        except MedQLoRAError as error:
            # The question is given back, and the page says why instead of waiting for ever.
            said = markup.notice(str(error), "bad")
            earlier = [displayed(turns["base"]), displayed(turns["tuned"])]
            yield [prompt, *earlier, turns, said, gr.skip(), told]
            raise

    def save(
        self,
        kind: FileKind,
        folder: Path,
        run_id: str | None,
        left: str | None,
        right: str | None,
        turns: dict[str, Turns],
        *drawn: Any,
    ) -> Path:
        """Writes the conversation where the browser may fetch it."""
        drawing = Drawing.of(*drawn)
        known = self._names(run_id)
        name = self._training.spec(run_id).name if run_id else ""
        return self._conversations.write(
            folder,
            kind,
            names=(known.get(left or BASE, BASE), known.get(right or TUNED, TUNED)),
            about={"Trained model": name},
            exchanges=exchanges(turns),
            settings=drawing.settings,
            system_prompt=drawing.system_prompt,
        )

    def _pages(
        self,
        updates: Generator[ChatUpdate, None, None],
        base: Turns,
        tuned: Turns,
        names: tuple[str, str],
    ) -> Iterator[list[Any]]:
        with closing(updates):
            for update in updates:
                yield [*shown(update, base, tuned, names), ""]

    @for_reviewers
    def stopped(self, request: gr.Request) -> Any:
        """The answers are to end here."""
        said = markup.notice(wording.COMPARE_STOPPED)
        last = [*[gr.skip()] * 4, said, gr.skip(), ""]
        return gr.skip() if self._streams.end(request.session_hash, last) else said

    @for_reviewers
    def clear(self, request: gr.Request) -> list[Any]:
        """Begins a new conversation."""
        ready = markup.notice(wording.COMPARE_READY)
        empty = ["", [], [], {"base": [], "tuned": []}, ready, ""]
        is_said = self._streams.end(request.session_hash, [*empty, ""])
        return [gr.skip()] * len(empty) if is_said else empty

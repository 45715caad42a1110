"""The Compare tab: one question, and both answers, before and after training, side by side.

Answering is the chat service's; this keeps the two conversations of one browser tab and shows them
grow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from medqlora.errors import EvaluationError, MedQLoRAError
from medqlora.services import Services
from medqlora.services.chat import ChatUpdate, GenerationSettings
from ui import markup, present, wording
from ui.guard import guarded
from ui.safety_notes import banner, safety_notes, scope
from ui.shared import LIGHT, Shared, opening, phi_warning, tab_name

Turns = list[dict[str, str]]


def build(shared: Shared) -> None:
    """Lays the tab out and wires it."""
    handlers = Handlers(shared.services)
    with gr.Tab("Compare", id=tab_name("Compare"), elem_id=tab_name("Compare")) as tab:
        turns = gr.State({"base": [], "tuned": []})
        told = gr.State("")
        opening("Compare")
        run = gr.Dropdown(label="Trained model", elem_id="compare-run")
        with gr.Row():
            base = _lay_out_chat("Before training", "compare-base")
            tuned = _lay_out_chat("After training", "compare-tuned")
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
        with gr.Row(elem_id="compare-examples"):
            examples = [
                gr.Button(text, size="sm", elem_id=f"compare-example-{number}")
                for number, text in enumerate(wording.EXAMPLES, 1)
            ]
        with gr.Accordion("How the answers are drawn", open=False, elem_id="compare-settings"):
            settings = _lay_out_settings()
        with gr.Accordion("What the safety filter does", open=False, elem_id="compare-safety"):
            gr.HTML(scope())
    tab.select(guarded(handlers.open), [shared.run_id, run], [run, status, send], **LIGHT)
    streaming = gr.on(
        [send.click, prompt.submit],
        guarded(handlers.send),
        [run, prompt, told, turns, *settings],
        [prompt, base, tuned, turns, status, told],
        trigger_mode="once",
        **LIGHT,
    )
    stop.click(handlers.stopped, None, status, cancels=[streaming], **LIGHT)
    cleared = [prompt, base, tuned, turns, status]
    clear.click(handlers.clear, None, cleared, cancels=[streaming], **LIGHT)
    run.input(handlers.clear, None, cleared, cancels=[streaming], **LIGHT)
    for button, text in zip(examples, wording.EXAMPLES, strict=True):
        button.click(lambda text=text: text, None, prompt, **LIGHT)


def _lay_out_chat(label: str, elem_id: str) -> gr.Chatbot:
    return gr.Chatbot(
        label=label,
        elem_id=elem_id,
        height=340,
        layout="bubble",
        placeholder=wording.COMPARE_EMPTY,
        buttons=[],
    )


def _lay_out_settings() -> list[gr.Slider]:
    with gr.Row():
        length = gr.Slider(
            16, 512, value=160, step=16, label="Longest answer, in tokens", elem_id="compare-length"
        )
        temperature = gr.Slider(
            0.0,
            1.5,
            value=0.0,
            step=0.1,
            label="Temperature",
            info="0 always gives the same answer; higher varies more.",
            elem_id="compare-temperature",
        )
        penalty = gr.Slider(
            1.0,
            2.0,
            value=1.1,
            step=0.05,
            label="Repetition penalty",
            info="Above 1 discourages repeating.",
            elem_id="compare-repetition-penalty",
        )
    return [length, temperature, penalty]


class Handlers:
    """What the tab's controls do.

    Args:
        services: The backend.
    """

    def __init__(self, services: Services) -> None:
        self._training = services.training
        self._chat = services.chat
        self._screening = services.screening

    def open(self, run_id: str, shown: str | None) -> list[Any]:
        """The tab is opened: the model chosen last, else the newest."""
        trained = [one for one in self._training.runs() if one.has_adapter]
        ids = [one.run_id for one in trained]
        wanted = (one for one in (shown, run_id, *ids) if one in ids)
        run = gr.Dropdown(choices=present.run_options(trained), value=next(wanted, None))
        if not ids:
            return [run, markup.notice(wording.NO_FINISHED_RUN, "warn"), gr.Button()]
        return [run, markup.notice(wording.COMPARE_READY), gr.Button(interactive=True)]

    def send(
        self,
        run_id: str | None,
        prompt: str,
        told: str,
        turns: dict[str, Turns],
        length: float,
        temperature: float,
        penalty: float,
    ) -> Iterator[list[Any]]:
        """Asks both, and shows their answers as they grow."""
        if not run_id:
            raise EvaluationError(
                "There is no trained model yet.", hint="Start a run in Train and let it end."
            )
        warning = phi_warning(self._screening, prompt, told)
        if warning:
            yield [*[gr.skip()] * 4, warning, prompt]
            return
        asked = {"role": "user", "content": prompt}
        base, tuned = [*turns["base"], asked], [*turns["tuned"], asked]
        settings = GenerationSettings(
            max_new_tokens=int(length), temperature=temperature, repetition_penalty=penalty
        )
        updates = self._chat.stream(run_id, base_turns=base, tuned_turns=tuned, settings=settings)
        try:
            for update in updates:
                yield [*_shown(update, base, tuned), ""]
        except MedQLoRAError as error:
            # The question is given back, and the page says why instead of waiting for ever.
            said = markup.notice(str(error), "bad")
            yield [prompt, turns["base"], turns["tuned"], turns, said, told]
            raise

    def stopped(self) -> str:
        """The answers were stopped."""
        return markup.notice(wording.COMPARE_STOPPED)

    def clear(self) -> list[Any]:
        """Begins a new conversation."""
        return ["", [], [], {"base": [], "tuned": []}, markup.notice(wording.COMPARE_READY)]


def _shown(update: ChatUpdate, base: Turns, tuned: Turns) -> list[Any]:
    grown_base, grown_tuned = _answered(base, update.base_text), _answered(tuned, update.tuned_text)
    return [
        "",
        grown_base,
        grown_tuned,
        {"base": grown_base, "tuned": grown_tuned},
        _status(update),
    ]


def _answered(turns: Turns, text: str) -> Turns:
    return [*turns, {"role": "assistant", "content": text}] if text else turns


def _status(update: ChatUpdate) -> str:
    if not update.is_done:
        return banner(update) + markup.progress(update.phase, None)
    facts = markup.facts(
        {
            "Before training": f"{update.base_tokens} tokens",
            "After training": f"{update.tuned_tokens} tokens",
            "Time": present.duration(update.seconds),
        }
    )
    return safety_notes(update) + facts

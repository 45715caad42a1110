"""How answers are drawn: the controls, and what they say as settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from medqlora.domain.generation import GenerationSettings
from ui import wording

LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the controls say.

    Attributes:
        settings: How answers are drawn.
        system_prompt: What both models are told beforehand; empty for nothing.
    """

    settings: GenerationSettings
    system_prompt: str

    @classmethod
    def of(cls, *values: Any) -> Drawing:
        """From the controls' values, in the order in which `lay_out` gives them."""
        length, temperature, penalty, top_p, seed, system_prompt = values
        settings = GenerationSettings(
            max_new_tokens=int(length),
            temperature=temperature,
            repetition_penalty=penalty,
            top_p=top_p,
            seed=int(seed or 0),
        )
        return cls(settings, (system_prompt or "").strip())

    def told_to(self, turns: list[dict[str, str]]) -> list[dict[str, str]]:
        """A conversation with the system prompt before it, where there is one."""
        if not self.system_prompt:
            return turns
        return [{"role": "system", "content": self.system_prompt}, *turns]


def lay_out() -> list[Any]:
    """The controls."""
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
    with gr.Row():
        top_p = gr.Slider(
            0.05,
            1.0,
            value=0.9,
            step=0.05,
            label="Top p",
            info="Above temperature 0: the share of likely words that is drawn from.",
            elem_id="compare-top-p",
        )
        seed = gr.Number(
            42,
            label="Seed",
            info="Above temperature 0: the same seed draws the same answer.",
            precision=0,
            minimum=0,
            maximum=LARGEST_SEED,
            elem_id="compare-seed",
        )
    system_prompt = gr.Textbox(
        label="System prompt",
        info=wording.SYSTEM_PROMPT_HELP,
        lines=2,
        elem_id="compare-system",
    )
    return [length, temperature, penalty, top_p, seed, system_prompt]

"""The form of the Configure tab: each setting becomes the input that suits its description.

What a setting means, may be and is called is said in `config.qlora`, once; a new field there
appears here by itself. Checking is the configuration's business, so that its own sentence is what
the user reads: inputs have no limits that Gradio would enforce in its own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields
from typing import Any

import gradio as gr

from medqlora.config.qlora import QLoRAConfig
from medqlora.config.setting import Setting, settings_of

OPEN_SECTIONS = ("LoRA", "Training", "Batch and length")
FOLDED_SECTIONS = ("Saving", "Advanced")
FOR_SEVERAL_GPUS = ("num_processes", "shard_weights")


Input = gr.Checkbox | gr.CheckboxGroup | gr.Dropdown | gr.Number | gr.Textbox


@dataclass(frozen=True, slots=True)
class Form:
    """The inputs of a form by the name of their setting, in the order of the settings."""

    inputs: Mapping[str, Input]

    @property
    def components(self) -> list[Input]:
        """The inputs, as a handler lists them."""
        return list(self.inputs.values())

    def values(self, given: Sequence[Any]) -> dict[str, Any]:
        """What a handler got from the inputs, by name."""
        return dict(zip(self.inputs, given, strict=True))

    def shown(self, config: QLoRAConfig) -> list[Any]:
        """What the inputs show for a configuration, in their order."""
        values = config.to_dict()
        return [values[name] for name in self.inputs]


def section_fields(section: str) -> list[Field[Any]]:
    """The fields of a section, in their order."""
    settings = settings_of(QLoRAConfig)
    return [
        one
        for one in fields(QLoRAConfig)
        if one.name in settings and settings[one.name].section == section
    ]


def lay_out_form(config: QLoRAConfig, *, num_gpus: int = 1) -> Form:
    """Every setting but the model, section by section, showing `config`.

    Args:
        config: What the inputs show.
        num_gpus: GPUs of the machine; with one there is nothing to say about several.
    """
    values = config.to_dict()
    hidden = () if num_gpus > 1 else FOR_SEVERAL_GPUS
    inputs: dict[str, Input] = {}
    with gr.Row(equal_height=False):
        for section in OPEN_SECTIONS:
            with gr.Column(min_width=280), gr.Group(elem_classes="mq-section"):
                inputs |= _lay_out_section(section, values, hidden)
    with (
        gr.Accordion("Advanced", open=False, elem_id="configure-advanced"),
        gr.Row(equal_height=False),
    ):
        for section in FOLDED_SECTIONS:
            with gr.Column(min_width=280), gr.Group(elem_classes="mq-section"):
                inputs |= _lay_out_section(section, values, hidden)
    return Form(inputs)


def _lay_out_section(
    section: str, values: Mapping[str, Any], hidden: Sequence[str]
) -> dict[str, Input]:
    gr.HTML(f"<h3>{section}</h3>", padding=True)
    return {
        one.name: input_for(one, values[one.name], is_visible=one.name not in hidden)
        for one in section_fields(section)
    }


def input_for(one: Field[Any], value: Any, *, is_visible: bool = True) -> Input:
    """The input that suits a field's type and description."""
    about: Setting = one.metadata["setting"]
    common = {
        "label": about.label,
        "info": hint(about),
        "value": value,
        "elem_id": f"configure-{one.name.replace('_', '-')}",
        "interactive": True,
        "visible": is_visible,
    }
    if one.type == "bool":
        return gr.Checkbox(**common)
    if str(one.type).startswith("tuple"):
        return gr.CheckboxGroup(choices=list(about.choices), **common)
    if about.choices:
        return gr.Dropdown(choices=list(about.choices), filterable=False, **common)
    if one.type in ("int", "float"):
        return gr.Number(step=spinner_step(one), **common)
    return gr.Textbox(**common)


def hint(about: Setting) -> str:
    """A setting's help, with the range where there is one worth saying."""
    if about.minimum is None or about.maximum is None or about.maximum >= 1_000_000:
        return about.help
    return f"{about.help} {_plain(about.minimum)} to {_plain(about.maximum)}."


def _plain(number: float) -> str:
    return f"{number:f}".rstrip("0").rstrip(".")


def spinner_step(one: Field[Any]) -> float:
    """How far one press of a number's arrow goes: 1 for counts, less for shares and rates."""
    if one.type == "int":
        return 1
    maximum: float = one.metadata["setting"].maximum
    return 0.5 if maximum > 1 else 0.01 if maximum > 0.01 else 0.00001

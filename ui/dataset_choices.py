"""The inputs of the Dataset tab: which column is what, and what to do with a file that was read.

They come as sets of components and the functions that fill them from a draft and read them back.
When they change is for `dataset_tab`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from medqlora.domain.dataset import ColumnMapping
from medqlora.domain.preparing import Choices, Draft
from medqlora.errors import DataError, MappingNeededError
from medqlora.services.imports import CLEANING_STEPS, KEEP_CONFIRMATION
from ui import dataset_words, present, wording

Updates = dict[Any, Any]
"""What a handler sets, by component."""

PHI_ACTIONS = [
    ("Mask: replace each finding by its kind, such as [NAME]", "mask"),
    ("Surrogates: replace names and dates by others, the same everywhere", "surrogate"),
    ("Leave out every entry with a finding", "drop"),
    ("Keep everything as it is", "keep"),
]
NO_LABEL, NO_GROUP = ("Nothing", ""), ("The question alone", "")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is what, folded away where a file speaks for itself."""

    box: gr.Accordion
    reading: gr.Dropdown
    prompt: gr.Dropdown
    response: gr.Dropdown
    context: gr.Dropdown
    read_again: gr.Button

    @property
    def inputs(self) -> list[Any]:
        """What a handler reads."""
        return [self.prompt, self.response, self.context]

    @property
    def outputs(self) -> list[Any]:
        """What a handler may set."""
        return [getattr(self, one.name) for one in fields(self)]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What to do with a file that was read."""

    phi_box: gr.Group
    phi: gr.Radio
    confirmation: gr.Textbox
    cleaning: gr.CheckboxGroup
    share: gr.Slider
    label: gr.Dropdown
    group: gr.Dropdown
    seed: gr.Number
    licence: gr.Textbox

    @property
    def inputs(self) -> list[Any]:
        """What a handler reads, in the order of `choices_from`."""
        return self.outputs[1:]

    @property
    def outputs(self) -> list[Any]:
        """What a handler may set."""
        return [getattr(self, one.name) for one in fields(self)]


def lay_out_columns() -> Columns:
    """Readings to choose from, three lists of columns, and a button."""
    with gr.Accordion("Columns", open=False, visible=False, elem_id="dataset-columns") as box:
        reading = gr.Dropdown(
            label="How it could be read", visible=False, elem_id="dataset-reading"
        )
        prompt = gr.Dropdown(
            label="Question",
            info="One column, or several in order.",
            multiselect=True,
            elem_id="dataset-prompt",
        )
        response = gr.Dropdown(label="Answer", elem_id="dataset-response")
        context = gr.Dropdown(
            label="Text that the question is about",
            info="May stay empty.",
            elem_id="dataset-context",
        )
        read_again = gr.Button("Read with these columns", elem_id="dataset-read-again", size="md")
    return Columns(box, reading, prompt, response, context, read_again)


def lay_out_decisions() -> Decisions:
    """What happens with findings of the PHI screen, cleaning, and the split."""
    with gr.Group(visible=False, elem_id="dataset-phi-choice") as phi_box:
        phi = gr.Radio(
            choices=PHI_ACTIONS,
            value="mask",
            label="What the PHI screen found",
            info=wording.PHI_CHOICE_HELP,
            elem_id="dataset-phi-action",
        )
        confirmation = gr.Textbox(
            label=wording.TO_KEEP.format(words=KEEP_CONFIRMATION),
            visible=False,
            elem_id="dataset-phi-confirmation",
        )
    cleaning = gr.CheckboxGroup(
        label="Cleaning",
        info=wording.CLEANING_HELP,
        visible=False,
        elem_id="dataset-cleaning",
    )
    share = gr.Slider(
        0.0,
        0.5,
        value=0.1,
        step=0.05,
        label="Share held out",
        info=wording.EVAL_SHARE_HELP,
        elem_id="dataset-eval-share",
    )
    with gr.Accordion("More about the split, and licence", open=False, elem_id="dataset-more"):
        label = gr.Dropdown(
            label="Alike on both sides",
            info=wording.LABEL_HELP,
            choices=[NO_LABEL],
            value="",
            elem_id="dataset-label",
        )
        group = gr.Dropdown(
            label="Never on both sides",
            info=wording.GROUP_HELP,
            choices=[NO_GROUP],
            value="",
            elem_id="dataset-group",
        )
        seed = gr.Number(42, label="Seed of the split", precision=0, elem_id="dataset-seed")
        licence = gr.Textbox(
            label="Licence and permission",
            info=wording.LICENCE_HELP,
            max_length=500,
            elem_id="dataset-licence",
        )
    phi.change(
        lambda chosen: gr.Textbox(visible=chosen == "keep", value=""),
        phi,
        confirmation,
        api_visibility="private",
        show_progress="hidden",
    )
    return Decisions(phi_box, phi, confirmation, cleaning, share, label, group, seed, licence)


def choices_from(given: Mapping[str, Any], draft: Draft) -> Choices:
    """What the inputs say about a draft.

    Args:
        given: Their values, by the names of `Decisions`.
        draft: The file that was read.

    Raises:
        DataError: The seed is missing.
    """
    if given["seed"] is None:
        raise DataError("The seed of the split is missing.", hint="Any whole number does, like 42.")
    return Choices(
        cleaning=tuple(given["cleaning"] or ()),
        phi=given["phi"] if draft.phi.num_rows_with_phi else None,
        phi_confirmation=given["confirmation"] or "",
        eval_share=float(given["share"]),
        seed=int(given["seed"]),
        label=given["label"] or "",
        group=given["group"] or "",
        licence=(given["licence"] or "").strip(),
    )


def shown_for_draft(inputs: Decisions, draft: Draft) -> Updates:
    """Updates of the inputs for a file that was read."""
    mendable = [
        (f"{CLEANING_STEPS[name].title} ({rows:,})", name) for name, rows in draft.mendable.items()
    ]
    labels, groups = draft.hints.labels, draft.hints.groups
    return {
        inputs.phi_box: gr.Group(visible=draft.phi.num_rows_with_phi > 0),
        inputs.phi: "mask",
        inputs.cleaning: gr.CheckboxGroup(choices=mendable, value=[], visible=bool(mendable)),
        inputs.label: gr.Dropdown(
            choices=[NO_LABEL, *((one, one) for one in labels)], value=next(iter(labels), "")
        ),
        inputs.group: gr.Dropdown(
            choices=[NO_GROUP, *((one, one) for one in groups)], value=next(iter(groups), "")
        ),
    }


def hidden(inputs: Decisions) -> Updates:
    """Updates of the inputs while there is no file to decide about."""
    return {
        inputs.phi_box: gr.Group(visible=False),
        inputs.cleaning: gr.CheckboxGroup(choices=[], value=[], visible=False),
    }


def asked(columns: Columns, error: MappingNeededError) -> Updates:
    """Updates of the column inputs for a file that does not speak for itself."""
    readings = [
        (dataset_words.mapping_option(one), str(number))
        for number, one in enumerate(error.candidates)
    ]
    # The likeliest reading is filled in, to be looked at: nothing is read before the button.
    first = error.candidates[0] if error.candidates else ColumnMapping(prompt=(), response="")
    return {
        **filled(columns, error, first),
        columns.reading: gr.Dropdown(
            choices=readings, value="0" if readings else None, visible=len(readings) > 1
        ),
        columns.read_again: gr.Button(variant="primary"),
    }


def filled(columns: Columns, error: MappingNeededError, reading: ColumnMapping) -> Updates:
    """Updates of the column inputs once one of the possible readings was chosen."""
    samples = {name: values[0] for name, values in error.samples.items() if values}
    return _filled(
        columns, dataset_words.column_options(error.columns, samples), reading, is_open=True
    )


def understood(columns: Columns, draft: Draft) -> Updates:
    """Updates of the column inputs for a file that was read."""
    samples = {name: values[0] for name, values in draft.samples.items() if values}
    options = dataset_words.column_options(draft.columns, samples)
    return {
        **_filled(columns, options, draft.mapping, is_open=False),
        columns.reading: gr.Dropdown(visible=False),
        columns.read_again: gr.Button(variant="secondary"),
    }


def _filled(
    columns: Columns, options: list[present.Option], mapping: ColumnMapping, *, is_open: bool
) -> Updates:
    known = [value for _, value in options]
    response = mapping.response if mapping.response in known else None
    context = mapping.context if mapping.context in known else None
    return {
        columns.box: gr.Accordion(visible=True, open=is_open),
        columns.prompt: gr.Dropdown(
            choices=options, value=[one for one in mapping.prompt if one in known]
        ),
        columns.response: gr.Dropdown(choices=options, value=response),
        columns.context: gr.Dropdown(choices=[("None", ""), *options], value=context or ""),
    }


def mapping_from(prompt: list[str], response: str | None, context: str | None) -> ColumnMapping:
    """What the column inputs say.

    Raises:
        DataError: The question or the answer is missing.
    """
    if not prompt or not response:
        raise DataError(
            "A question column and an answer column are needed.",
            hint="Choose both, then read the file again.",
        )
    return ColumnMapping(
        prompt=tuple(prompt),
        response=response,
        context=context or None,
        reason="You chose these columns.",
    )

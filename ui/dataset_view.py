"""What the Dataset tab shows of a dataset, and the inputs that say which column is what.

Both come as a set of components and the functions that make their updates. When they change is for
`dataset_tab`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from medqlora.domain.dataset import (
    ColumnMapping,
    DatasetCard,
    MedicalDataEntry,
    ReadResult,
    ValidationResult,
)
from medqlora.errors import DataError, MappingNeededError
from ui import markup, present, wording

PREVIEW_ROWS = 8


@dataclass(frozen=True, slots=True)
class View:
    """The components that show a dataset, whether read or prepared."""

    notice: gr.HTML
    facts: gr.HTML
    preview: gr.Tabs
    table: gr.HTML
    chat: gr.Chatbot
    findings: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """What a handler sets, in order."""
        return [getattr(self, one.name) for one in fields(self)]


@dataclass(frozen=True, slots=True)
class Columns:
    """The inputs that say which column is what, folded away where a file speaks for itself."""

    box: gr.Accordion
    prompt: gr.Dropdown
    response: gr.Dropdown
    context: gr.Dropdown
    is_own: gr.State
    read_again: gr.Button

    @property
    def inputs(self) -> list[Any]:
        """What a handler reads."""
        return [self.prompt, self.response, self.context]

    @property
    def outputs(self) -> list[Any]:
        """What a handler sets, in order."""
        return [self.box, *self.inputs, self.is_own]


def lay_out_view() -> View:
    """A notice, figures, and the preview as table, as chat, and with what was found."""
    notice = gr.HTML(elem_id="dataset-notice")
    facts = gr.HTML(elem_id="dataset-facts")
    with gr.Tabs(visible=False, elem_id="dataset-preview") as preview:
        with gr.Tab("As a table", elem_id="dataset-preview-table"):
            table = gr.HTML(elem_id="dataset-table")
        with gr.Tab("As a chat", elem_id="dataset-preview-chat"):
            chat = gr.Chatbot(
                elem_id="dataset-chat", height=460, show_label=False, buttons=[], autoscroll=False
            )
        with gr.Tab("Findings", elem_id="dataset-preview-findings"):
            findings = gr.HTML(elem_id="dataset-findings")
    return View(notice, facts, preview, table, chat, findings)


def lay_out_columns() -> Columns:
    """Three lists of columns and a button."""
    with gr.Accordion("Columns", open=False, visible=False, elem_id="dataset-columns") as box:
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
    return Columns(box, prompt, response, context, gr.State(False), read_again)


def nothing(notice: str) -> list[Any]:
    """Updates of a view with a notice alone."""
    return [notice, "", gr.Tabs(visible=False), "", [], ""]


def of_card(card: DatasetCard, entries: Sequence[MedicalDataEntry]) -> list[Any]:
    """Updates of a view for a prepared dataset and its first entries."""
    sentence = wording.PREPARED.format(name=card.name, train=card.num_train, held=card.num_eval)
    return [
        markup.notice(sentence, "good"),
        markup.facts(present.dataset_facts(card.validation, card)),
        *_preview(entries, card.num_train),
        _findings(card.validation, card.mapping, card.warnings),
    ]


def of_file(result: ReadResult) -> list[Any]:
    """Updates of a view for a file as it was read."""
    counts = result.counts
    if result.validation.is_valid:
        notice = markup.notice(wording.FILE_READ.format(valid=counts.valid, rows=counts.rows))
    else:
        notice = markup.notice(wording.FILE_UNUSABLE.format(rows=counts.rows), "bad")
    return [
        notice,
        markup.facts(present.dataset_facts(result.validation, None)),
        *_preview(result.entries[:PREVIEW_ROWS], counts.valid),
        _findings(result.validation, result.mapping, result.warnings),
    ]


def _preview(entries: Sequence[MedicalDataEntry], total: int) -> list[Any]:
    caption = wording.PREVIEW_NOTE.format(shown=len(entries), total=f"{total:,}")
    table = markup.table(("Question", "Answer"), present.entry_rows(entries), caption=caption)
    return [gr.Tabs(visible=True), table, present.chat(entries)]


def _findings(checked: ValidationResult, mapping: ColumnMapping, warnings: Sequence[str]) -> str:
    rows = present.findings(checked, warnings)
    found = markup.sentences(rows) if rows else markup.empty(wording.NO_FINDINGS)
    return found + markup.note(present.mapping_sentence(mapping))


def ask_columns(error: MappingNeededError, samples: Mapping[str, str]) -> list[Any]:
    """Updates of the column inputs for a file that does not speak for itself.

    Args:
        error: Which columns there are.
        samples: A value of each column, as far as known, to tell them apart.
    """
    nothing = ColumnMapping(prompt=(), response="")
    return _columns(present.column_options(error.columns, samples), nothing, is_open=True)


def show_columns(result: ReadResult, *, is_own: bool) -> list[Any]:
    """Updates of the column inputs for a file that was read."""
    options = present.column_options(result.columns, {})
    return [*_columns(options, result.mapping, is_open=False)[:-1], is_own]


def _columns(options: list[present.Option], mapping: ColumnMapping, *, is_open: bool) -> list[Any]:
    columns = [value for _, value in options]
    named = [one for one in mapping.prompt if one in columns]
    response = mapping.response if mapping.response in columns else None
    context = mapping.context if mapping.context in columns else None
    return [
        gr.Accordion(visible=True, open=is_open),
        gr.Dropdown(choices=options, value=named),
        gr.Dropdown(choices=options, value=response),
        gr.Dropdown(choices=[("None", ""), *options], value=context or ""),
        False,
    ]


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

"""The left column of the Dataset tab: what there is to do, in its order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ui import dataset_choices, markup, wording
from ui.dataset_choices import Columns, Decisions

FILE_TYPES = [
    *(".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".xlsx", ".parquet", ".xml"),
    *(".zip", ".gz"),
]


@dataclass(frozen=True, slots=True)
class Steps:
    """The left column: what there is to do, from the top down."""

    sample: gr.Button
    file: gr.File
    hub: gr.Textbox
    fetch: gr.Button
    drafts: gr.Dropdown
    progress: gr.HTML
    cancel: gr.Button
    columns: Columns
    decisions: Decisions
    prepare: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """What a handler may set."""
        own = [self.sample, self.drafts, self.progress, self.cancel, self.prepare]
        return [*own, *self.columns.outputs, *self.decisions.outputs]


def lay_out_steps() -> Steps:
    """The column, from the top down."""
    sample = gr.Button("Use the sample", variant="primary", elem_id="dataset-use-sample")
    gr.HTML(markup.note(wording.SAMPLE_NOTE))
    file = gr.File(
        label=wording.UPLOAD_LABEL, file_types=FILE_TYPES, elem_id="dataset-file", height=170
    )
    gr.HTML(markup.note(wording.PRIVACY_NOTE))
    with gr.Accordion("Or a dataset of the model hub", open=False, elem_id="dataset-hub"):
        hub = gr.Textbox(
            label="Name",
            placeholder="owner/name",
            info=wording.HUB_HELP,
            max_length=300,
            elem_id="dataset-hub-name",
        )
        fetch = gr.Button("Read it", elem_id="dataset-hub-read", size="md")
    drafts = gr.Dropdown(
        label="Or go on with a file that was read before",
        visible=False,
        elem_id="dataset-drafts",
    )
    progress = gr.HTML(elem_id="dataset-progress")
    cancel = gr.Button("Cancel", visible=False, elem_id="dataset-cancel", size="md")
    columns = dataset_choices.lay_out_columns()
    decisions = dataset_choices.lay_out_decisions()
    prepare = gr.Button("Prepare", interactive=False, elem_id="dataset-prepare")
    return Steps(sample, file, hub, fetch, drafts, progress, cancel, columns, decisions, prepare)

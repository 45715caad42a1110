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
    """The left column: what there is to do, from the top down.

    `upload` is the file that lies on the field: its `path`, and the `jobs` that read it.
    """

    sample: gr.Button
    file: gr.File
    upload: gr.State
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
        own = [self.sample, self.upload, self.drafts, self.progress, self.cancel, self.prepare]
        return [*own, *self.columns.outputs, *self.decisions.outputs]

    def buttons(self, *, is_ready: bool) -> dict[Any, Any]:
        """What there is to do next stands out: the sample, or the file that was read."""
        return {
            self.sample: gr.Button(
                variant="secondary" if is_ready else "primary", interactive=True
            ),
            self.prepare: gr.Button(
                variant="primary" if is_ready else "secondary", interactive=is_ready
            ),
        }

    def emptied(self) -> dict[Any, Any]:
        """Without a file."""
        return {
            self.columns.box: gr.Accordion(visible=False),
            self.upload: {},
            self.progress: "",
            self.cancel: gr.Button(visible=False),
            **self.buttons(is_ready=False),
            **dataset_choices.hidden(self.decisions),
        }


def lay_out_steps() -> Steps:
    """The column, from the top down."""
    sample = gr.Button("Use the sample", variant="primary", elem_id="dataset-use-sample")
    gr.HTML(markup.note(wording.SAMPLE_NOTE))
    file = gr.File(
        label=wording.UPLOAD_LABEL, file_types=FILE_TYPES, elem_id="dataset-file", height=170
    )
    upload = gr.State({})
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
    return Steps(
        sample, file, upload, hub, fetch, drafts, progress, cancel, columns, decisions, prepare
    )

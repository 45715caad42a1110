"""The Dataset tab: the sample or a file of the user's becomes a prepared dataset.

Reading, screening and preparing are jobs of the dataset service. What the controls do is
`dataset_work`'s, what is shown `dataset_view`'s, what can be chosen `dataset_choices`'.
"""

from __future__ import annotations

import gradio as gr

from ui import dataset_view, wording
from ui.dataset_steps import lay_out_steps
from ui.dataset_tokens import Tokens
from ui.dataset_work import Handlers
from ui.guard import guarded, guarded_tick
from ui.mirror_line import MirrorLine
from ui.shared import BUSY, LIGHT, Shared, opening, tab_name

FOLLOW_SECONDS = 0.5


def build(shared: Shared, page: gr.Blocks) -> None:
    """Lays the tab out and wires it."""
    with gr.Tab("Dataset", id=tab_name("Dataset"), elem_id=tab_name("Dataset")) as tab:
        work, timer = gr.State({}), gr.Timer(FOLLOW_SECONDS, active=False)
        count, count_timer = gr.State({}), gr.Timer(FOLLOW_SECONDS, active=False)
        opening("Dataset")
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                steps = lay_out_steps()
            with gr.Column(scale=3, min_width=360):
                prepared = gr.Dropdown(
                    label="Dataset in use", info=wording.DATASETS_HELP, elem_id="dataset-current"
                )
                kept = MirrorLine.of_dataset(shared.services.mirror)
                view = dataset_view.lay_out_view()
    tokens = Tokens(shared.services.datasets, view, count, count_timer)
    do = Handlers(shared, steps, view, prepared, work, timer, tokens)
    columns, outputs = steps.columns, do.outputs
    told, chosen = [work, shared.settings], [shared.dataset_id, shared.settings]
    page.load(guarded(do.open), chosen, outputs, **LIGHT)
    tab.select(guarded(do.refresh), [shared.dataset_id, *told], outputs, **LIGHT)
    steps.sample.click(guarded(do.use_sample), None, outputs, trigger_mode="once", **LIGHT)
    steps.file.upload(guarded(do.read), steps.file, outputs, **LIGHT)
    gr.on(
        [steps.fetch.click, steps.hub.submit],
        guarded(do.fetch),
        steps.hub,
        outputs,
        trigger_mode="once",
        **LIGHT,
    )
    steps.file.clear(guarded(do.forget), [steps.upload, work, *chosen], outputs, **LIGHT)
    steps.drafts.input(guarded(do.go_on), [steps.drafts, shared.settings], outputs, **LIGHT)
    columns.reading.input(guarded(do.propose), [work, columns.reading], outputs, **LIGHT)
    columns.read_again.click(
        guarded(do.read_as),
        [work, steps.upload, *columns.inputs],
        outputs,
        trigger_mode="once",
        **LIGHT,
    )
    steps.cancel.click(guarded(do.cancel), work, outputs, **LIGHT)
    steps.prepare.click(
        guarded(do.prepare), [work, *steps.decisions.inputs], outputs, trigger_mode="once", **LIGHT
    )
    kept.wire(shared.dataset_id)
    kept.button.click(guarded(do.bring_back), chosen, outputs, trigger_mode="once", **BUSY)
    prepared.input(guarded(do.choose), [prepared, shared.settings], outputs, **BUSY)
    timer.tick(guarded_tick(do.tick), told, outputs, **LIGHT)
    counted = [count, shared.settings]
    count_timer.tick(guarded_tick(tokens.tick), counted, tokens.outputs, **LIGHT)
    view.go_on.click(lambda: gr.Tabs(selected=tab_name("Configure")), None, shared.tabs, **LIGHT)

"""The blind review on Compare: the raters' side, and under it the owner's."""

from __future__ import annotations

import gradio as gr

from ui import review_owner, review_raters
from ui.shared import Shared


def build(shared: Shared, tab: gr.Tab) -> None:
    """Lays the section out and wires it.

    Args:
        shared: What the tabs share.
        tab: The tab that it stands in; opening it brings the section up to date.
    """
    with gr.Accordion("Blind review", open=False, elem_id="review"):
        review_raters.build(shared, tab)
        review_owner.build(shared, tab)

"""Whose a browser tab is, however many somebody names."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest

from ui.door.calls import MAX_TABS_OF_VISITOR, Calls
from ui.door.requests import RefusedCall


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    with gr.Blocks() as page:
        gr.Button()
    return Calls(page, tmp_path)


def test_naming_many_tabs_pushes_out_nobody_elses(calls: Calls) -> None:
    calls.claim_tab("victim", "one")
    for n in range(6_000):
        calls.claim_tab(f"flood{n}", "another")
    calls.check_tab("victim", "one")
    with pytest.raises(RefusedCall, match="somebody else"):
        calls.claim_tab("victim", "another")
    calls.check_tab("flood5999", "another")
    with pytest.raises(RefusedCall):
        calls.check_tab(f"flood{5_999 - MAX_TABS_OF_VISITOR}", "another")

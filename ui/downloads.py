"""A file at one press: it is made when the button is pressed, and the browser downloads it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ui.door.roles import for_reviewers, is_for_reviewers
from ui.guard import guarded
from ui.shared import BUSY, LIGHT

# The button for the file is pressed once it is in the page with the new address.
_PRESS = """() => {
  const press = (tries) => {
    const button = document.getElementById("%s");
    if (button?.offsetWidth) button.click();
    else if (tries) setTimeout(() => press(tries - 1), 100);
  };
  setTimeout(() => press(50), 200);
}"""


def folder() -> Path:
    """Where the owner's files for the browser lie: Gradio's own; the workspace is closed to it."""
    place = Path(os.environ["GRADIO_TEMP_DIR"]) / "exports"
    place.mkdir(parents=True, exist_ok=True)
    return place


def place_of_tabs() -> Path:
    """Where files made at one press lie, in a folder for each browser tab."""
    return Path(os.environ["GRADIO_TEMP_DIR"]) / "of-tabs"


def tab_of(file: str) -> str:
    """The browser tab for which a file was made at one press; empty for any other path."""
    path, place = Path(os.path.realpath(file)), Path(os.path.realpath(place_of_tabs()))
    return path.parent.name if path.parent.parent == place else ""


def one_press(
    label: str, elem_id: str, write: Callable[..., Path], inputs: Sequence[Any], **look: Any
) -> None:
    """Lays a button out that makes a file and downloads it.

    Args:
        label: What the button says.
        elem_id: Its id; that of the file's own button is `ELEM_ID-file`.
        write: Writes the file into a folder, its first argument, and returns it.
        inputs: What `write` gets besides.
        look: How the buttons look.
    """

    def make(request: gr.Request, *values: Any) -> Any:
        # Each tab has a folder, so that the door can tell whose a file is.
        own = place_of_tabs() / str(request.session_hash)
        own.mkdir(parents=True, exist_ok=True)
        return gr.DownloadButton(value=str(write(own, *values)), visible=True)

    if is_for_reviewers(write):
        for_reviewers(make)
    button = gr.Button(label, elem_id=elem_id, **look)
    file_id = f"{elem_id}-file"
    file = gr.DownloadButton("Download again", visible=False, elem_id=file_id, **look)
    made = button.click(guarded(make), list(inputs), file, trigger_mode="once", **BUSY)
    made.success(None, None, None, js=_PRESS % file_id, **LIGHT)

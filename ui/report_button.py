"""The study report at one press: the page is written, and the browser downloads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gradio as gr

from medqlora.errors import EvaluationError
from medqlora.services import Services
from ui import wording
from ui.guard import guarded
from ui.shared import BUSY, LIGHT, Shared

# The button for the file is pressed once it is in the page with the new address.
_PRESS = """() => {
  const press = (tries) => {
    const button = document.getElementById("report-file");
    if (button?.offsetWidth) button.click();
    else if (tries) setTimeout(() => press(tries - 1), 100);
  };
  setTimeout(() => press(50), 200);
}"""


def build(shared: Shared, run: gr.Dropdown) -> None:
    """Lays the button out and wires it.

    Args:
        shared: What the tabs share.
        run: The run that is reported on.
    """
    handlers = Handlers(shared.services)
    make = gr.Button("Study report", elem_id="report-make")
    gr.HTML(f'<p class="mq-note">{wording.REPORT_NOTE}</p>')
    file = gr.DownloadButton("Download the report", visible=False, elem_id="report-file")
    made = make.click(guarded(handlers.make), run, file, trigger_mode="once", **BUSY)
    made.success(None, None, None, js=_PRESS, **LIGHT)


class Handlers:
    """What the button does.

    Args:
        services: The backend.
    """

    def __init__(self, services: Services) -> None:
        self._training = services.training
        self._report = services.report

    def make(self, run_id: str | None) -> Any:
        """Writes the report where the page may fetch it."""
        if not run_id:
            raise EvaluationError(
                "There is no trained model yet.", hint="Start a run in Train and let it end."
            )
        # Under Gradio's own folder, which it may serve; the workspace is closed to it.
        folder = Path(os.environ["GRADIO_TEMP_DIR"]) / "exports"
        folder.mkdir(parents=True, exist_ok=True)
        path = self._report.write(self._training.directory(run_id), folder)
        return gr.DownloadButton(value=str(path), visible=True)

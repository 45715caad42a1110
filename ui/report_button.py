"""The study report at one press."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from medqlora.errors import EvaluationError
from ui import downloads, markup, wording
from ui.shared import Shared


def build(shared: Shared, run: gr.Dropdown) -> None:
    """Lays the button out and wires it.

    Args:
        shared: What the tabs share.
        run: The run that is reported on.
    """
    training, report = shared.services.training, shared.services.report

    def write(folder: Path, run_id: str | None) -> Path:
        if not run_id:
            raise EvaluationError(
                "There is no trained model yet.", hint="Start a run in Train and let it end."
            )
        return report.write(training.directory(run_id), folder)

    downloads.one_press("Study report", "report-make", write, [run])
    gr.HTML(markup.note(wording.REPORT_NOTE))

"""What a user takes away of a run, each at one press: the study report and the adapter."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from medqlora.errors import EvaluationError
from ui import downloads, markup, wording
from ui.shared import Shared


def build(shared: Shared, run: gr.Dropdown) -> None:
    """Lays the buttons out and wires them.

    Args:
        shared: What the tabs share.
        run: The run that is meant.
    """
    services = shared.services

    def report(folder: Path, run_id: str | None) -> Path:
        return services.report.write(services.training.directory(_chosen(run_id)), folder)

    def adapter(folder: Path, run_id: str | None) -> Path:
        directory = services.training.directory(_chosen(run_id))
        services.report.write_card(directory)  # it leaves with what is known today
        return services.library.export(directory, folder)

    with gr.Row():
        downloads.one_press("Study report", "report-make", report, [run])
        downloads.one_press("Adapter (zip)", "adapter-make", adapter, [run])
    gr.HTML(markup.note(wording.TAKEAWAY_NOTE))


def _chosen(run_id: str | None) -> str:
    if not run_id:
        raise EvaluationError(
            "There is no trained model yet.", hint="Start a run in Train and let it end."
        )
    return run_id

"""Bringing in an adapter that was made elsewhere, below the models of Compare; for the owner alone.

What may come in is decided by `services.library`; this takes the file and says what came of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from medqlora.errors import ModelError
from medqlora.services import Services
from ui import markup, present, wording
from ui.guard import guarded
from ui.shared import BUSY

AS_IT_SAYS = "The one that the file names"


def build(services: Services, run: gr.Dropdown) -> None:
    """Lays it out and wires it.

    Args:
        services: The backend.
        run: The list of models, in which a new one is chosen.
    """
    known = [one.name for one in services.configuration.models()]

    def bring_in(path: str | None, base: str) -> list[Any]:
        if not path:
            raise ModelError("There is no file yet.", hint="Choose the adapter's zip file first.")
        name = "" if base == AS_IT_SAYS else base
        run_id = services.library.import_adapter(Path(path), base_model=name)
        trained = [one for one in services.training.runs() if one.has_adapter]
        options = present.run_options(trained)
        return [
            gr.Dropdown(choices=options, value=run_id),
            None,
            markup.notice(wording.ADAPTER_IMPORTED, "good"),
        ]

    with gr.Accordion(wording.IMPORT_ADAPTER, open=False, elem_id="owner-import"):
        gr.HTML(markup.note(wording.IMPORT_HELP))
        with gr.Row(equal_height=True):
            file = gr.File(
                label="The adapter's zip file", file_types=[".zip"], elem_id="owner-import-file"
            )
            base = gr.Dropdown(
                [AS_IT_SAYS, *known],
                value=AS_IT_SAYS,
                label="Its base model",
                elem_id="owner-import-base",
            )
            add = gr.Button("Bring it in", elem_id="owner-import-add", scale=0, min_width=140)
        said = gr.HTML(elem_id="owner-import-said")
    add.click(guarded(bring_in), [file, base], [run, file, said], **BUSY)

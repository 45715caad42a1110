"""What a tab says about the mirror: how safe something is, and what can be brought back from there.

It reads what the mirror's process wrote on this machine; nothing here waits for the mirror itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from medqlora.services.mirror import MirrorService
from medqlora.services.mirrored import MirrorStatus
from ui import markup, wording
from ui.guard import guarded_tick
from ui.shared import LIGHT

TICK_SECONDS = 2.0

Shown = tuple[str, bool, str]
"""The sentence, whether all is well, and what the button says; without words there is none."""


class MirrorLine:
    """A line and its button, placed where they are made.

    Args:
        mirror: The mirror.
        look: What is to be said of a run or dataset, by its id, which is empty for none.
        line_id: Element id of the line.
        button_id: Element id of the button.

    Attributes:
        button: Brings something back.
    """

    def __init__(
        self, mirror: MirrorService, look: Callable[[str], Shown], *, line_id: str, button_id: str
    ) -> None:
        self._look = look
        self._line = gr.HTML(elem_id=line_id)
        self.button = gr.Button(visible=False, elem_id=button_id)
        self._timer = gr.Timer(TICK_SECONDS, active=mirror.is_set())
        self._seen = gr.State(())

    @classmethod
    def of_run(cls, mirror: MirrorService) -> MirrorLine:
        """How safe the run shown is; the button brings the last run back."""

        def look(run_id: str) -> Shown:
            offered = mirror.offered()
            label = (
                wording.BRING_BACK_LAST if offered and offered.is_done else wording.CONTINUE_LAST
            )
            return *_said(mirror.state(run_id) if run_id else None), label if offered else ""

        return cls(mirror, look, line_id="train-mirror", button_id="train-continue")

    @classmethod
    def of_dataset(cls, mirror: MirrorService) -> MirrorLine:
        """How safe the dataset in use is; the button brings those back that are not here."""

        def look(dataset_id: str) -> Shown:
            number = len(mirror.offered_datasets())
            label = wording.BRING_BACK_DATASETS.format(number=number) if number else ""
            return *_said(mirror.state_of_dataset(dataset_id) if dataset_id else None), label

        return cls(mirror, look, line_id="dataset-mirror", button_id="dataset-bring-back")

    def wire(self, chosen: gr.State) -> None:
        """Keeps the line up to date while the page is open; `chosen` holds the id."""
        outputs = [self._line, self.button, self._seen]
        self._timer.tick(guarded_tick(self.show), [chosen, self._seen], outputs, **LIGHT)

    def show(self, chosen: str, seen: Shown) -> Any:
        """What has changed since the last time; nothing when nothing has."""
        now = self._look(chosen)
        if now == seen:
            return gr.skip()
        message, is_well, label = now
        return [
            markup.notice(message, "plain" if is_well else "warn"),
            gr.Button(label, visible=bool(label)),
            now,
        ]


def _said(kept: MirrorStatus | None) -> tuple[str, bool]:
    return (kept.message, kept.is_safe) if kept else ("", True)

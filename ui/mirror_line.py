"""What Train says about the mirror: how safe the run is, and the last run to go on with from there.

It reads what the mirror's process wrote on this machine; nothing here waits for the mirror itself.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from medqlora.services import Services
from ui import markup, wording
from ui.guard import guarded_tick
from ui.shared import LIGHT, Shared

TICK_SECONDS = 2.0


class MirrorLine:
    """The line and its button, placed where they are made.

    Args:
        services: The backend.

    Attributes:
        button: Brings the last run back.
    """

    def __init__(self, services: Services) -> None:
        self._mirror = services.mirror
        self._line = gr.HTML(elem_id="train-mirror")
        self.button = gr.Button(wording.CONTINUE_LAST, visible=False, elem_id="train-continue")
        self._timer = gr.Timer(TICK_SECONDS, active=self._mirror.is_set())
        self._seen = gr.State(())

    def wire(self, shared: Shared) -> None:
        """Keeps the line up to date while the page is open."""
        self._timer.tick(
            guarded_tick(self.show),
            [shared.run_id, self._seen],
            [self._line, self.button, self._seen],
            **LIGHT,
        )

    def show(self, run_id: str, seen: tuple[str, str]) -> Any:
        """What has changed since the last time; nothing when nothing has."""
        kept = self._mirror.state(run_id) if run_id else None
        offered = self._mirror.offered()
        now = (kept.message if kept else "", offered.run_id if offered else "")
        if now == seen:
            return gr.skip()
        label = wording.BRING_BACK_LAST if offered and offered.is_done else wording.CONTINUE_LAST
        tone: markup.Tone = "plain" if kept and kept.is_safe else "warn"
        return [
            markup.notice(now[0], tone),
            gr.Button(label, visible=offered is not None),
            now,
        ]

"""The Monitor tab: live plots of a run, for any number of viewers, and the plots of past runs.

The plots' elements are made once and never replaced. A tick hands the browser only the points it
lacks, through a JSON value that nobody sees; `assets/page.js` adds them, so that what a viewer
zoomed into stays.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from medqlora.services import Services
from ui import markup, present, wording
from ui.guard import guarded, guarded_tick
from ui.plots import FIGURES, Cursor, feed
from ui.shared import LIGHT, Shared, messages_html, opening, status_html, tab_name

DRAW = "(feed) => { window.mqDraw(feed); }"


def build(shared: Shared, timer: gr.Timer) -> None:
    """Lays the tab out and wires it."""
    handlers = Handlers(shared.services)
    with gr.Tab("Monitor", id=tab_name("Monitor"), elem_id=tab_name("Monitor")) as tab:
        cursor = gr.State(Cursor().to_state())
        follows = gr.State(value=True)
        opening("Monitor")
        run = gr.Dropdown(
            label="Run", info="The one that is going on, or any earlier one.", elem_id="monitor-run"
        )
        status = gr.HTML(elem_id="monitor-status")
        gr.HTML(_plot_elements(), elem_id="monitor-board")
        gr.HTML(markup.heading("Messages"))
        said = gr.HTML(elem_id="monitor-messages")
        points = gr.JSON(visible="hidden", elem_id="monitor-feed")
    drawn = [run, shared.run_id, status, said, points, cursor, follows]
    tab.select(guarded(handlers.open), shared.run_id, drawn, **LIGHT)
    run.input(guarded(handlers.choose), run, drawn, **LIGHT)
    timer.tick(guarded_tick(handlers.tick), [shared.run_id, cursor, follows], drawn, **LIGHT)
    points.change(None, points, None, js=DRAW, api_visibility="private")


def _plot_elements() -> str:
    plots = "".join(
        f'<div id="{one.div_id}" class="mq-plot" role="img" '
        f'aria-label="{markup.safe(one.title)}"></div>'
        for one in FIGURES
    )
    return f'<div id="monitor-plots">{plots}</div>'


class Handlers:
    """What the tab's controls do.

    Args:
        services: The backend.
    """

    def __init__(self, services: Services) -> None:
        self._training = services.training
        self._guidance = services.guidance

    def open(self, run_id: str) -> list[Any]:
        """The tab is opened: the run that is going on, else the last one chosen."""
        newest = next((one.run_id for one in self._training.runs()), "")
        shown = self._training.current() or run_id or newest
        if not shown:
            nothing = markup.empty(wording.NO_RUN)
            return [gr.skip(), "", nothing, "", gr.skip(), gr.skip(), True]
        return [*self._drawn(shown, Cursor(), is_listed=True), True]

    def choose(self, run_id: str) -> list[Any]:
        """Another run was chosen; it stays, even when a new run begins."""
        return [*self._drawn(run_id, Cursor(), is_listed=True), run_id == self._training.current()]

    def tick(self, run_id: str, cursor: dict[str, Any], follows: bool) -> Any:
        """The points since the last second, of a run that has begun since too; else nothing."""
        shown = (self._training.current() if follows else None) or run_id
        if not shown:
            return gr.skip()
        seen = Cursor(**cursor)
        snapshot = self._training.snapshot(shown)
        if seen == Cursor(shown, snapshot.seq):
            return gr.skip()
        is_listed = not snapshot.is_live or seen.run_id != shown
        return [*self._drawn(shown, seen, is_listed=is_listed), gr.skip()]

    def _drawn(self, run_id: str, seen: Cursor, *, is_listed: bool) -> list[Any]:
        snapshot = self._training.snapshot(run_id)
        return [
            self._list(run_id) if is_listed else gr.skip(),
            run_id,
            status_html(snapshot),
            messages_html(self._guidance, snapshot),
            feed(snapshot, seen),
            Cursor(run_id, snapshot.seq).to_state(),
        ]

    def _list(self, run_id: str) -> Any:
        return gr.Dropdown(choices=present.run_options(self._training.runs()), value=run_id)

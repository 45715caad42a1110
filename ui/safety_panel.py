"""The forgetting and safety panel, a section of the Evaluate tab.

Asking is the panel service's and judging its rules'; this starts it, follows it and shows, category
by category, what passes before and after training.
"""

from __future__ import annotations

from typing import Any, Final

import gradio as gr

from medqlora.domain.evaluation import ItemResult
from medqlora.errors import EvaluationError
from medqlora.services import Services
from medqlora.services.panel import PanelRow
from ui import markup, present
from ui.guard import guarded, guarded_tick
from ui.shared import BUSY, LIGHT, Shared, messages_html

EXPLAINED: Final = (
    "Asks the model before and after training the same short questions in seven categories, and "
    "judges each answer by a rule that you can read. A rule reads words: it finds what changed, "
    "not whether an answer is good medicine. Red is worse and green is better beyond chance; grey "
    "means that nothing can be claimed with so few questions."
)
OWN_ITEMS: Final = "Questions of your own: put JSONL files into the workspace's folder panel."
NONE_YET: Final = "No panel yet. Press Start; with a small model it takes some minutes."


def build(shared: Shared, timer: gr.Timer, tab: gr.Tab) -> None:
    """Lays the section out and wires it; `tab` is the one it stands on."""
    handlers = Handlers(shared.services)
    seen = gr.State([0, 0])
    gr.HTML(markup.note(EXPLAINED) + markup.note(OWN_ITEMS))
    with gr.Row(equal_height=False):
        run = gr.Dropdown(label="Trained model", elem_id="panel-run", scale=3)
        start = gr.Button(
            "Start", variant="primary", elem_id="panel-start", interactive=False, min_width=100
        )
        stop = gr.Button("Stop", elem_id="panel-stop", interactive=False, min_width=100)
        shown = gr.Dropdown(label="Results of", elem_id="panel-shown", scale=3)
    progress = gr.HTML(elem_id="panel-progress")
    result = gr.HTML(elem_id="panel-result")
    live = [shown, progress, result, start, stop, seen]
    tab.select(guarded(handlers.open), [shared.run_id, shown], [run, *live], **LIGHT)
    start.click(guarded(handlers.start), run, live, **BUSY)
    stop.click(guarded(handlers.stop), shown, [progress, stop], **LIGHT)
    shown.input(guarded(handlers.show), shown, live, **LIGHT)
    timer.tick(guarded_tick(handlers.tick), [shown, seen], live, **LIGHT)


class Handlers:
    """What the section's controls do.

    Args:
        services: The backend.
    """

    def __init__(self, services: Services) -> None:
        self._training = services.training
        self._panel = services.panel
        self._guidance = services.guidance

    def open(self, run_id: str, shown: str | None) -> list[Any]:
        """The tab is opened: the panel that is going on, else the last one shown."""
        trained = [one for one in self._training.runs() if one.has_adapter]
        ids = [one.run_id for one in trained]
        chosen = run_id if run_id in ids else next(iter(ids), None)
        newest = next((one.panel_id for one in self._panel.panels()), "")
        run = gr.Dropdown(choices=present.run_options(trained), value=chosen)
        return [run, *self._live(self._panel.current() or shown or newest)]

    def start(self, run_id: str | None) -> list[Any]:
        """Starts the panel for a trained model."""
        if not run_id:
            raise EvaluationError(
                "There is no trained model yet.", hint="Start a run in Train and let it end."
            )
        return self._live(self._panel.start(run_id))

    def stop(self, panel_id: str) -> list[Any]:
        """Asks the panel to stop; the answers so far are kept."""
        self._panel.stop(panel_id)
        return [markup.progress("Stopping after these answers", None), gr.Button(interactive=False)]

    def show(self, panel_id: str) -> list[Any]:
        """Another panel was chosen."""
        return self._live(panel_id)

    def tick(self, panel_id: str | None, seen: list[int]) -> Any:
        """What is new since the last second; nothing when nothing is."""
        if not panel_id or self._panel.snapshot(panel_id).seq == seen[0]:
            return gr.skip()
        return self._live(panel_id, items_seen=seen[1])

    def _live(self, panel_id: str, *, items_seen: int = -1) -> list[Any]:
        if not panel_id:
            return [gr.skip(), markup.empty(NONE_YET), "", *self._buttons(), [0, 0]]
        snapshot = self._panel.snapshot(panel_id)
        detail = f"{snapshot.items_done} of {snapshot.items_total}" if snapshot.items_total else ""
        progress = markup.progress(
            snapshot.phase,
            present.share_done(snapshot),
            detail=detail,
            tone=present.TONES.get(snapshot.state, "plain"),
        )
        said = messages_html(self._guidance, snapshot) if snapshot.messages else ""
        is_new = snapshot.items_done != items_seen
        options = [(one.name, one.panel_id) for one in self._panel.panels()]
        return [
            gr.Dropdown(choices=options, value=panel_id),
            progress + said,
            rows_html(self._panel.rows(panel_id)) if is_new else gr.skip(),
            *self._buttons(),
            [snapshot.seq, snapshot.items_done],
        ]

    def _buttons(self) -> list[Any]:
        is_busy = self._panel.current() is not None
        return [gr.Button(interactive=not is_busy), gr.Button(interactive=is_busy)]


def rows_html(rows: tuple[PanelRow, ...]) -> str:
    """Every category: its figures, what can be claimed, and its items behind a click."""
    return "".join(map(_row_html, rows))


def _row_html(row: PanelRow) -> str:
    figures = row.comparison
    before, after = (
        _share(figures.accuracy_base, figures.ci_base),
        _share(figures.accuracy_fine_tuned, figures.ci_fine_tuned),
    )
    worse = [one for one in row.items if one[1] and not one[2]]
    others = [one for one in row.items if one not in worse]
    table = markup.table(
        ("Question", "Before", "", "After", ""),
        [_item(*one) for one in [*worse, *others]],
        caption=f"{row.category.label}: {figures.n} questions",
    )
    return (
        f'<details class="mq-details mq-panel mq-{row.tone}"><summary>'
        f"{markup.safe(row.category.label)}: {markup.safe(before)} before, "
        f"{markup.safe(after)} after</summary>"
        f"{markup.note(f'Passes if: {row.category.passes_if} {row.verdict}')}{table}</details>"
    )


def _share(value: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{value:.0%} ({low:.0%} to {high:.0%})"


def _item(item: ItemResult, base: bool, tuned: bool) -> tuple[str, ...]:
    return (
        item.base.query,
        item.base.response,
        "passes" if base else "fails",
        item.finetuned.response,
        "passes" if tuned else "fails",
    )

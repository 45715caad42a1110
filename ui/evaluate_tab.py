"""The Evaluate tab: the same questions to the model before and after training, with scores.

Asking and scoring are the evaluation service's; this starts it, follows it and shows what came of
it.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from medqlora.domain.snapshot import RunSnapshot
from medqlora.errors import EvaluationError
from medqlora.services import Services
from medqlora.services.evaluation import EvaluationSummary
from ui import (
    downloads,
    exam_panel,
    markup,
    present,
    present_evaluation,
    safety_panel,
    takeaway,
    wording,
)
from ui.guard import guarded, guarded_tick
from ui.shared import BUSY, LIGHT, Shared, messages_html, opening, phi_warning, tab_name

HELD_OUT, OWN = "Held-out entries", "My own questions"


def build(shared: Shared, timer: gr.Timer) -> None:
    """Lays the tab out and wires it."""
    handlers = Handlers(shared.services)
    with gr.Tab("Evaluate", id=tab_name("Evaluate"), elem_id=tab_name("Evaluate")) as tab:
        seen, told = gr.State([0, 0]), gr.State("")
        opening("Evaluate")
        with gr.Tabs(elem_id="evaluate-parts"):
            with gr.Tab(wording.WRITTEN_ANSWERS, elem_id="evaluate-written"):
                with gr.Row(equal_height=False):
                    with gr.Column(scale=2, min_width=320):
                        run, source, limit, queries, length = _lay_out_request()
                        with gr.Row():
                            start = gr.Button(
                                "Start",
                                variant="primary",
                                elem_id="evaluate-start",
                                interactive=False,
                            )
                            stop = gr.Button("Stop", elem_id="evaluate-stop", interactive=False)
                        takeaway.build(shared, run)
                    with gr.Column(scale=3, min_width=360):
                        with gr.Row(equal_height=False, elem_classes="mq-results"):
                            shown = gr.Dropdown(
                                label="Results of", elem_id="evaluate-shown", scale=3
                            )
                            csv = gr.DownloadButton(
                                "Download CSV",
                                elem_id="evaluate-csv",
                                visible=False,
                                scale=0,
                                min_width=160,
                            )
                        progress = gr.HTML(elem_id="evaluate-progress")
                        summary = gr.HTML(elem_id="evaluate-summary")
                items = gr.HTML(elem_id="evaluate-items")
            with gr.Tab(wording.EXAM, elem_id="evaluate-exams"):
                exam_panel.build(shared, timer, tab)
            with gr.Tab("Forgetting and safety", elem_id="evaluate-panel"):
                safety_panel.build(shared, timer, tab)
    live = [shown, progress, summary, items, csv, start, stop, seen]
    tab.select(guarded(handlers.open), [shared.run_id, shown], [run, *live], **LIGHT)
    source.input(
        lambda chosen: [gr.Slider(visible=chosen == HELD_OUT), gr.Textbox(visible=chosen == OWN)],
        source,
        [limit, queries],
        **LIGHT,
    )
    asked = [run, source, queries, told, limit, length]
    start.click(guarded(handlers.start), asked, [told, *live], **BUSY)
    stop.click(guarded(handlers.stop), shown, [progress, stop], **LIGHT)
    shown.input(guarded(handlers.show), shown, live, **LIGHT)
    timer.tick(guarded_tick(handlers.tick), [shown, seen], live, **LIGHT)


def _lay_out_request() -> tuple[gr.Dropdown, gr.Radio, gr.Slider, gr.Textbox, gr.Slider]:
    """Whom to ask what: model, source, number of entries, own questions, longest answer."""
    run = gr.Dropdown(label="Trained model", elem_id="evaluate-run")
    source = gr.Radio(
        [HELD_OUT, OWN],
        value=HELD_OUT,
        label="What to ask",
        elem_id="evaluate-source",
    )
    limit = gr.Slider(
        4,
        200,
        value=24,
        step=4,
        label="How many entries",
        elem_id="evaluate-limit",
    )
    queries = gr.Textbox(
        label="Questions",
        info=wording.QUERIES_HELP,
        lines=5,
        visible=False,
        elem_id="evaluate-queries",
    )
    length = gr.Slider(
        16,
        512,
        value=96,
        step=16,
        label="Longest answer, in tokens",
        info="Three tokens are about two words.",
        elem_id="evaluate-length",
    )
    return run, source, limit, queries, length


class Handlers:
    """What the tab's controls do.

    Args:
        services: The backend.
    """

    def __init__(self, services: Services) -> None:
        self._training = services.training
        self._evaluation = services.evaluation
        self._guidance = services.guidance
        self._screening = services.screening

    def open(self, run_id: str, shown: str | None) -> list[Any]:
        """The tab is opened: the evaluation that is going on, else the last one shown."""
        trained = [one for one in self._training.runs() if one.has_adapter]
        ids = [one.run_id for one in trained]
        chosen = run_id if run_id in ids else next(iter(ids), None)
        run = gr.Dropdown(choices=present.run_options(trained), value=chosen)
        newest = next((one.evaluation_id for one in self._evaluation.evaluations()), "")
        evaluation_id = self._evaluation.current() or shown or newest
        live = self._live(evaluation_id)
        if not trained and not evaluation_id:
            live[1] = markup.notice(wording.NO_FINISHED_RUN, "warn")
        return [run, *live]

    def start(
        self, run_id: str | None, source: str, queries: str, told: str, limit: float, length: float
    ) -> list[Any]:
        """Starts an evaluation; what the PHI screen finds in own questions is told first."""
        if not run_id:
            raise EvaluationError(
                "There is no trained model yet.", hint="Start a run in Train and let it end."
            )
        warning = phi_warning(self._screening, queries, told) if source == OWN else ""
        if warning:
            return [queries, gr.skip(), warning, *[gr.skip()] * 6]
        evaluation_id = self._evaluation.start(
            run_id,
            queries=queries.splitlines() if source == OWN else None,
            limit=int(limit),
            max_new_tokens=int(length),
        )
        return ["", *self._live(evaluation_id)]

    def stop(self, evaluation_id: str) -> list[Any]:
        """Asks the evaluation to stop; the answers so far are kept."""
        self._evaluation.stop(evaluation_id)
        return [markup.progress("Stopping after this answer", None), gr.Button(interactive=False)]

    def show(self, evaluation_id: str) -> list[Any]:
        """Another evaluation was chosen."""
        return self._live(evaluation_id)

    def tick(self, evaluation_id: str | None, seen: list[int]) -> Any:
        """What is new since the last second; nothing when nothing is."""
        seq, items_done = seen
        if not evaluation_id or self._evaluation.snapshot(evaluation_id).seq == seq:
            return gr.skip()
        return self._live(evaluation_id, items_seen=items_done)

    def _live(self, evaluation_id: str, *, items_seen: int = -1) -> list[Any]:
        if not evaluation_id:
            nothing = [
                markup.empty(wording.NO_EVALUATION),
                "",
                "",
                gr.DownloadButton(visible=False),
            ]
            return [gr.skip(), *nothing, *self._buttons(), [0, 0]]
        snapshot = self._evaluation.snapshot(evaluation_id)
        is_over = not snapshot.is_live
        options = present.evaluation_options(self._evaluation.evaluations())
        return [
            gr.Dropdown(choices=options, value=evaluation_id),
            self._progress(snapshot),
            self._summary(evaluation_id) if is_over and snapshot.items_done else "",
            gr.skip() if snapshot.items_done == items_seen else self._items(evaluation_id),
            self._download(evaluation_id, is_ready=is_over and snapshot.items_done > 0),
            *self._buttons(),
            [snapshot.seq, snapshot.items_done],
        ]

    def _buttons(self) -> list[Any]:
        # Asked after the snapshot, so that one that is over never leaves Start pressed in.
        is_busy = self._evaluation.current() is not None
        return [gr.Button(interactive=not is_busy), gr.Button(interactive=is_busy)]

    def _summary(self, evaluation_id: str) -> str:
        figures = self._evaluation.summary(evaluation_id)
        if not figures.metrics:
            return markup.notice(wording.WITHOUT_REFERENCE)
        table = markup.table(
            present_evaluation.SUMMARY_HEADERS,
            present_evaluation.summary_rows(figures),
            caption=f"{figures.num_scored} answers",
            whole=True,
        )
        leading = figures.leading
        headline = wording.LEADING.format(verdict=leading.verdict) if leading else ""
        tone = present_evaluation.CLAIMS[leading.claim] if leading else "plain"
        meanings = [(one.label, one.help) for one in figures.metrics]
        return (
            markup.notice(headline, tone)
            + table
            + markup.note(wording.SUMMARY_NOTE)
            + markup.details(wording.SCORES_EXPLAINED, markup.record(meanings, caption="Scores"))
            + self._by_label(figures)
            + self._extremes(evaluation_id, figures)
        )

    def _by_label(self, figures: EvaluationSummary) -> str:
        rows = present_evaluation.label_rows(figures)
        if not rows:
            return ""
        table = markup.table(
            present_evaluation.LABEL_HEADERS, rows, caption="Token F1", numeric=True
        )
        return markup.details(wording.BY_LABEL, table)

    def _extremes(self, evaluation_id: str, figures: EvaluationSummary) -> str:
        items = {one.index: one for one in self._evaluation.items(evaluation_id)}
        return "".join(
            markup.details(
                title,
                markup.table(
                    present_evaluation.ITEM_HEADERS,
                    present_evaluation.item_rows([items[index] for index in indices]),
                    caption=title,
                ),
            )
            for title, indices in (
                (wording.MOST_GAINED, figures.most_gained),
                (wording.MOST_LOST, figures.most_lost),
            )
            if indices
        )

    def _items(self, evaluation_id: str) -> str:
        rows = present_evaluation.item_rows(self._evaluation.items(evaluation_id))
        return (
            markup.table(present_evaluation.ITEM_HEADERS, rows, caption="Answers") if rows else ""
        )

    def _download(self, evaluation_id: str, *, is_ready: bool) -> Any:
        if not is_ready:
            return gr.DownloadButton(visible=False)
        return gr.DownloadButton(value=self._written(evaluation_id), visible=True)

    def _written(self, evaluation_id: str) -> str:
        return str(self._evaluation.write_csv(evaluation_id, downloads.folder()))

    def _progress(self, snapshot: RunSnapshot) -> str:
        detail = f"{snapshot.items_done} of {snapshot.items_total}" if snapshot.items_total else ""
        bar = markup.progress(
            snapshot.phase,
            present.share_done(snapshot),
            detail=detail,
            tone=present.TONES.get(snapshot.state, "plain"),
        )
        return bar + (messages_html(self._guidance, snapshot) if snapshot.messages else "")

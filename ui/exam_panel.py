"""The exams within the Evaluate tab: multiple-choice benchmarks before and after training.

Asking and scoring are the benchmark service's; this starts it, follows it and shows what came of
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from medqlora.domain.benchmark import OWN
from medqlora.domain.snapshot import RunSnapshot
from medqlora.errors import EvaluationError, PersistenceError
from medqlora.services import Services
from medqlora.services.benchmarks import BenchmarkResult
from ui import downloads, markup, present, present_evaluation, wording
from ui.guard import guarded, guarded_tick
from ui.shared import BUSY, LIGHT, Shared, messages_html

COUNTS = {"50": 50, "100": 100, "200": 200, "500": 500, "All": 0}


def build(shared: Shared, timer: gr.Timer, tab: gr.Tab) -> None:
    """Lays the panel out and wires it.

    Args:
        shared: What the tabs share.
        timer: Ticks while the tab is open.
        tab: The tab around it.
    """
    handlers = Handlers(shared.services)
    seen = gr.State(0)
    gr.HTML(markup.note(wording.EXAM_LEAD))
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            run = gr.Dropdown(label="Trained model", elem_id="exam-run")
            names = gr.CheckboxGroup(label="Exams", elem_id="exam-names")
            gr.HTML(markup.note(wording.EXAM_NOT_HERE))
            count = gr.Radio(
                list(COUNTS),
                value="100",
                label="Questions of each, drawn at random",
                elem_id="exam-count",
            )
            plan = gr.HTML(elem_id="exam-plan")
            with gr.Row():
                start, stop, resume = (
                    gr.Button(
                        label,
                        variant="primary" if label == "Start" else "secondary",
                        elem_id=f"exam-{label.lower()}",
                        interactive=False,
                        min_width=90,
                    )
                    for label in ("Start", "Stop", "Resume")
                )
            with gr.Accordion("Add an exam from a file", open=False, elem_id="exam-add"):
                template = gr.Dropdown(
                    handlers.templates(), value=OWN, label="What it holds", elem_id="exam-template"
                )
                file = gr.File(label="File", elem_id="exam-file", height=130)
                gr.HTML(markup.note(wording.EXAM_FILE_HELP))
                added = gr.HTML(elem_id="exam-added")
        with gr.Column(scale=3, min_width=360):
            with gr.Row(equal_height=False, elem_classes="mq-results"):
                shown = gr.Dropdown(label="Results of", elem_id="exam-shown", scale=3)
                csv = gr.DownloadButton(
                    "Download CSV", elem_id="exam-csv", visible=False, scale=0, min_width=160
                )
            progress = gr.HTML(elem_id="exam-progress")
            results = gr.HTML(elem_id="exam-results")
    live = [shown, progress, results, csv, start, stop, resume, seen]
    tab.select(guarded(handlers.open), [shared.run_id, shown, names], [run, names, *live], **LIGHT)
    asked = [run, names, count]
    planned = [one.change for one in (run, names, count)]
    gr.on(planned, guarded(handlers.plan), asked, plan, **LIGHT)
    start.click(guarded(handlers.start), asked, live, **BUSY)
    stop.click(guarded(handlers.stop), shown, [progress, stop], **LIGHT)
    resume.click(guarded(handlers.resume), shown, live, **BUSY)
    shown.input(guarded(handlers.show), shown, live, **LIGHT)
    file.upload(guarded(handlers.add), [file, template, names], [file, added, names], **BUSY)
    timer.tick(guarded_tick(handlers.tick), [shown, seen], live, **LIGHT)


class Handlers:
    """What the panel's controls do.

    Args:
        services: The backend.
    """

    def __init__(self, services: Services) -> None:
        self._training = services.training
        self._benchmarks = services.benchmarks
        self._guidance = services.guidance

    def templates(self) -> list[present.Option]:
        """What a file may hold."""
        published = [one for one in self._benchmarks.choices() if not one.is_own]
        return [(wording.EXAM_OWN, OWN), *((one.label, one.name) for one in published)]

    def open(self, run_id: str, shown: str | None, names: list[str]) -> list[Any]:
        """The tab is opened: the exam that is going on, else the last one shown."""
        trained = [one for one in self._training.runs() if one.has_adapter]
        ids = [one.run_id for one in trained]
        chosen = run_id if run_id in ids else next(iter(ids), None)
        newest = next((one.exam_id for one in self._benchmarks.exams()), "")
        live = self._live(self._benchmarks.current() or shown or newest)
        if not trained:
            live[1] = markup.notice(wording.NO_FINISHED_RUN, "warn")
        run = gr.Dropdown(choices=present.run_options(trained), value=chosen)
        return [run, self._names(names), *live]

    def plan(self, run_id: str | None, names: list[str], count: str) -> str:
        """What the chosen exams would show and cost."""
        if not run_id or not names:
            return ""
        plans = self._benchmarks.plan(
            self._training.directory(run_id), names, num_items=_count(count)
        )
        rows = present_evaluation.plan_rows(plans)
        table = markup.table(
            present_evaluation.PLAN_HEADERS, rows, caption="Before you start", whole=True
        )
        return table + markup.note(wording.EXAM_PLAN_NOTE)

    def start(self, run_id: str | None, names: list[str], count: str) -> list[Any]:
        """Starts the exams."""
        if not run_id:
            raise EvaluationError(
                "There is no trained model yet.", hint="Start a run in Train and let it end."
            )
        return self._live(self._benchmarks.start(run_id, names or [], num_items=_count(count)))

    def stop(self, exam_id: str) -> list[Any]:
        """Asks the exam to stop; the answers so far are kept."""
        self._benchmarks.stop(exam_id)
        return [
            markup.progress("Stopping after these questions", None),
            gr.Button(interactive=False),
        ]

    def resume(self, exam_id: str) -> list[Any]:
        """Goes on with the questions that have no answer yet."""
        self._benchmarks.resume(exam_id)
        return self._live(exam_id)

    def show(self, exam_id: str) -> list[Any]:
        """Another exam was chosen."""
        return self._live(exam_id)

    def add(self, file: str | None, template: str, names: list[str]) -> list[Any]:
        """Makes an exam of a file and ticks it."""
        if not file:
            return [gr.skip()] * 3
        card = self._benchmarks.add(Path(file), template=template)
        said = f"{card.label}: {card.num_items:,} questions are ready."
        notice = markup.notice(said, "good") + "".join(
            markup.notice(remark, "warn") for remark in card.remarks
        )
        return [None, notice, self._names([*names, card.name])]

    def tick(self, exam_id: str | None, seen: int) -> Any:
        """What is new since the last second; nothing when nothing is."""
        if not exam_id or self._benchmarks.snapshot(exam_id).seq == seen:
            return gr.skip()
        return self._live(exam_id)

    def _names(self, chosen: Sequence[str]) -> Any:
        options = present_evaluation.benchmark_options(self._benchmarks.choices())
        known = {name for _, name in options}
        return gr.CheckboxGroup(
            choices=options, value=[name for name in dict.fromkeys(chosen) if name in known]
        )

    def _live(self, exam_id: str) -> list[Any]:
        if not exam_id:
            nothing = [markup.empty(wording.EXAM_NONE), "", gr.DownloadButton(visible=False)]
            return [gr.skip(), *nothing, *self._buttons(None), 0]
        snapshot = self._benchmarks.snapshot(exam_id)
        damage, results = "", tuple[BenchmarkResult, ...]()
        try:
            results = () if snapshot.is_live else self._benchmarks.results(exam_id)
        except PersistenceError as error:  # another exam can still be chosen
            damage = markup.notice(f"{error.message} {error.hint}", "bad")
        options = present_evaluation.exam_options(self._benchmarks.exams())
        return [
            gr.Dropdown(choices=options, value=exam_id),
            self._progress(snapshot),
            _results_html(results) if results else damage,
            self._download(exam_id, is_ready=bool(results)),
            *self._buttons(snapshot),
            snapshot.seq,
        ]

    def _buttons(self, snapshot: RunSnapshot | None) -> list[Any]:
        is_busy = self._benchmarks.current() is not None
        can_resume = snapshot is not None and snapshot.can_resume and not is_busy
        return [gr.Button(interactive=one) for one in (not is_busy, is_busy, can_resume)]

    def _download(self, exam_id: str, *, is_ready: bool) -> Any:
        if not is_ready:
            return gr.DownloadButton(visible=False)
        return gr.DownloadButton(
            value=str(self._benchmarks.write_csv(exam_id, downloads.folder())), visible=True
        )

    def _progress(self, snapshot: RunSnapshot) -> str:
        detail = f"{snapshot.items_done} of {snapshot.items_total}" if snapshot.items_total else ""
        bar = markup.progress(
            snapshot.phase,
            present.share_done(snapshot),
            detail=detail,
            tone=present.TONES.get(snapshot.state, "plain"),
        )
        return bar + (messages_html(self._guidance, snapshot) if snapshot.messages else "")


def _count(chosen: str) -> int:
    if chosen not in COUNTS:
        raise EvaluationError(
            "The number of questions was not chosen.", hint="Choose one of those offered."
        )
    return COUNTS[chosen]


def _results_html(results: Sequence[BenchmarkResult]) -> str:
    return "".join(map(_result_html, results)) + markup.note(wording.EXAM_HOW)


def _result_html(result: BenchmarkResult) -> str:
    one = result.comparison
    subjects = present_evaluation.subject_rows(result)
    return markup.section(
        f"{result.label}: {one.n:,} questions",
        markup.notice(result.verdict, present_evaluation.CLAIMS[result.claim]),
        markup.accuracies(
            [
                ("Before", one.accuracy_base, one.ci_base),
                ("After", one.accuracy_fine_tuned, one.ci_fine_tuned),
            ],
            chance=result.chance,
            caption=f"Right answers in {result.label} before and after training",
        ),
        markup.note(present_evaluation.figures_sentence(result)),
        *(markup.notice(remark, "warn") for remark in result.remarks),
        markup.details(
            "More figures",
            markup.table(
                present_evaluation.FIGURE_HEADERS,
                present_evaluation.figure_rows(result),
                caption="More figures",
            ),
        ),
        markup.details(
            "By subject",
            markup.table(
                present_evaluation.SUBJECT_HEADERS, subjects, caption="By subject", numeric=True
            ),
        )
        if subjects
        else "",
    )

"""The Train tab: start, queue, stop and resume, and how the run stands.

The training service owns runs and refuses a second one; this shows what it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.snapshot import RunSnapshot
from medqlora.errors import DataError, GpuBusyError
from medqlora.services import Services
from medqlora.services.run_summary import RunSummary
from ui import dataset_words, markup, present, wording
from ui.guard import guarded, guarded_tick
from ui.mirror_line import MirrorLine
from ui.shared import BUSY, LIGHT, Shared, messages_html, opening, status_html, tab_name


def build(shared: Shared, page: gr.Blocks, timer: gr.Timer) -> None:
    """Lays the tab out and wires it."""
    handlers = Handlers(shared.services)
    with gr.Tab("Train", id=tab_name("Train"), elem_id=tab_name("Train")) as tab:
        seen = gr.State([])
        opening("Train")
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                dataset = gr.Dropdown(label="Dataset", elem_id="train-dataset")
                plan = gr.HTML(elem_id="train-plan")
                with gr.Row():
                    start = gr.Button(wording.START, variant="primary", elem_id="train-start")
                    stop = gr.Button("Stop", elem_id="train-stop", interactive=False)
                queue = gr.HTML(elem_id="train-queue")
                queued = gr.Dropdown(
                    label="A run of the queue", elem_id="train-queued", visible=False
                )
                remove = gr.Button(
                    "Remove it from the queue", elem_id="train-remove", visible=False
                )
                resumable = gr.Dropdown(
                    label="Go on with a stopped run",
                    info="It continues from its last checkpoint.",
                    elem_id="train-resumable",
                    visible=False,
                )
                accepted = gr.Checkbox(
                    label=wording.ACCEPT_DIFFERENCES,
                    info=wording.ACCEPT_DIFFERENCES_INFO,
                    elem_id="train-accept-differences",
                    visible=False,
                )
                resume = gr.Button(wording.RESUME, elem_id="train-resume", visible=False)
                kept = MirrorLine.of_run(shared.services.mirror)
                session = gr.HTML(elem_id="train-session")
                with gr.Accordion(wording.CONNECTION_LOST, open=False, elem_id="train-guide"):
                    gr.HTML(_guide(shared.services))
            with gr.Column(scale=3, min_width=360):
                status = gr.HTML(elem_id="train-status")
                gr.HTML(markup.heading("Messages"))
                said = gr.HTML(elem_id="train-messages")
    buttons = [start, stop, queue, queued, remove, resumable, accepted, resume]
    live = [status, said, session, *buttons, seen]
    opened = [dataset, plan, shared.run_id, *live]
    chosen = [shared.dataset_id, shared.settings, shared.run_id]
    page.load(guarded(handlers.open), chosen, opened, **LIGHT)
    tab.select(guarded(handlers.open), chosen, opened, **LIGHT)
    shared.dataset_id.change(guarded(handlers.open), chosen, opened, **LIGHT)
    dataset.input(
        guarded(handlers.choose), [dataset, shared.settings], [shared.dataset_id, plan], **LIGHT
    )
    start.click(
        guarded(handlers.start),
        [dataset, shared.dataset_id, shared.settings, start],
        [shared.run_id, *live],
        trigger_mode="once",
        **BUSY,
    )
    stop.click(guarded(handlers.stop), shared.run_id, [status, stop], **LIGHT)
    resume.click(
        guarded(handlers.resume), [resumable, accepted, resume], [shared.run_id, *live], **BUSY
    )
    kept.wire(shared.run_id)
    kept.button.click(guarded(handlers.continue_last), None, [shared.run_id, *live], **BUSY)
    followed = [shared.run_id, *live]
    remove.click(guarded(handlers.remove), [queued, shared.run_id], followed, **LIGHT)
    timer.tick(guarded_tick(handlers.tick), [shared.run_id, seen], followed, **LIGHT)


class Handlers:
    """What the tab's controls do.

    Args:
        services: The backend.
    """

    def __init__(self, services: Services) -> None:
        self._datasets = services.datasets
        self._configuration = services.configuration
        self._training = services.training
        self._guidance = services.guidance
        self._mirror = services.mirror

    def open(self, dataset_id: str, settings: dict[str, Any], run_id: str) -> list[Any]:
        """The tab is opened: the run that is going on, else the one chosen last."""
        cards = self._datasets.cards()
        chosen = dataset_id or (cards[0].dataset_id if cards else "")
        dropdown = gr.Dropdown(choices=dataset_words.dataset_options(cards), value=chosen or None)
        shown = self._training.current() or self._known(run_id)
        return [dropdown, self._plan(chosen, settings), shown, *self._live(shown)]

    def choose(self, dataset_id: str, settings: dict[str, Any]) -> list[Any]:
        """Another dataset was chosen."""
        return [dataset_id, self._plan(dataset_id, settings)]

    def start(
        self, listed: str | None, chosen: str, settings: dict[str, Any], button: str
    ) -> list[Any]:
        """Starts a run with the chosen data and settings, or queues it, as the button says.

        A page that does not know of another run yet says Start and is refused: twenty clicks start
        one run and queue none. So is who was quicker than the list of datasets and saw another one
        than was chosen.
        """
        dataset_id = listed or chosen
        if chosen and dataset_id != chosen:
            raise DataError(
                "The dataset had just been changed.",
                hint="Look which one the list shows now, then press Start again.",
            )
        if not dataset_id:
            raise DataError("There is no dataset yet.", hint="Prepare one in the Dataset tab.")
        config = self._config(settings)
        if button == wording.ADD_TO_QUEUE:
            run_id = self._training.enqueue(config, dataset_id)
            run_id = self._training.current() or run_id
        else:
            run_id = self._training.start(config, dataset_id)
        return [run_id, *self._live(run_id)]

    def remove(self, queued_id: str | None, run_id: str) -> list[Any]:
        """Takes a run out of the queue."""
        if queued_id:
            self._training.remove_from_queue(queued_id)
        shown = "" if run_id == queued_id else run_id
        return [shown, *self._live(shown)]

    def stop(self, run_id: str) -> list[Any]:
        """Asks the run to stop; it ends its step and keeps a checkpoint."""
        self._training.stop(self._training.current() or run_id)
        return [markup.progress(wording.STOPPING, None), gr.Button(interactive=False)]

    def resume(
        self, run_id: str | None, is_accepted: bool, button: str = wording.RESUME
    ) -> list[Any]:
        """Goes on with a stopped run, or queues it, as the button says.

        Differences from its checkpoint only when accepted.
        """
        if not run_id:
            raise DataError("No run is chosen.", hint="Choose one from the list above the button.")
        self._go_on(run_id, is_accepted, is_queued=button == wording.QUEUE_RESUME)
        shown = self._training.current() or run_id
        return [shown, *self._live(shown)]

    def continue_last(self) -> list[Any]:
        """Brings the last run back from the mirror and goes on with it."""
        restored = self._mirror.restore()
        gr.Info(markup.safe(restored.message), duration=15)
        if restored.can_resume:
            self._go_on(restored.run_id)
        shown = self._training.current() or restored.run_id
        return [shown, *self._live(shown)]

    def _go_on(self, run_id: str, is_accepted: bool = False, *, is_queued: bool = False) -> None:
        """Resumes a run, in its turn where another job has the machine."""
        busy = ""
        try:
            if not is_queued:
                self._training.resume(run_id, accept_differences=is_accepted)
                return
        except GpuBusyError as error:
            busy = error.message
        self._training.enqueue_resume(run_id, accept_differences=is_accepted)
        gr.Info(markup.safe(f"{busy} {wording.RESUME_QUEUED}".strip()), duration=15)

    def tick(self, run_id: str, seen: list[Any]) -> Any:
        """What is new since the last second; nothing when nothing is.

        The next run of the queue is followed when its turn comes.
        """
        shown = self._training.current() or run_id
        return gr.skip() if self._state(shown) == seen else [shown, *self._live(shown)]

    def _state(self, run_id: str) -> list[Any]:
        queued = [one.run_id for one in self._training.queued()]
        return [run_id, self._training.snapshot(run_id).seq if run_id else 0, *queued]

    def _known(self, run_id: str) -> str:
        """`run_id` if it is still there, else the newest run's."""
        ids = [one.run_id for one in self._training.runs()]
        return run_id if run_id in ids else next(iter(ids), "")

    def _config(self, settings: dict[str, Any]) -> QLoRAConfig:
        # A page that was just loaded may come here before Configure has filled in what suits.
        if settings:
            return self._configuration.build(settings)
        return self._configuration.defaults(self._configuration.models()[0].name).config

    def _plan(self, dataset_id: str, settings: dict[str, Any]) -> str:
        if not dataset_id:
            return markup.notice(wording.NO_DATASET_TO_TRAIN, "warn")
        config = self._config(settings)
        steps = config.total_steps(self._datasets.card(dataset_id).num_train)
        plan = wording.PLAN.format(
            model=config.model_name,
            steps=f"{steps:,}",
            batch=config.effective_batch_size,
            rank=config.rank,
            rate=f"{config.learning_rate:g}",
        )
        return markup.note(plan)

    def _live(self, run_id: str) -> list[Any]:
        queued = self._training.queued()
        if not run_id:
            nothing = [markup.empty(wording.READY_TO_TRAIN), "", self._session(None)]
            return [*nothing, *self._buttons(queued), self._state(run_id)]
        seen = self._state(run_id)
        snapshot = self._training.snapshot(run_id)
        said = [
            status_html(snapshot),
            messages_html(self._guidance, snapshot),
            self._session(snapshot),
        ]
        return [*said, *self._buttons(queued), seen]

    def _session(self, snapshot: RunSnapshot | None) -> str:
        left = self._guidance.session(snapshot)
        return markup.notice(left.message, "warn" if left.is_short else "plain") if left else ""

    def _buttons(self, queued: Sequence[RunSummary]) -> list[Any]:
        # Asked after the snapshot, so that a run that is over never leaves Start pressed in.
        is_busy = self._training.current() is not None
        options = present.run_options(one for one in self._training.runs() if one.can_resume)
        can_resume = bool(options)
        is_queue = is_busy or bool(queued)
        newest = options[0][1] if options else None
        waiting = [(_waiting(one), one.run_id) for one in queued]
        return [
            gr.Button(wording.ADD_TO_QUEUE if is_queue else wording.START),
            gr.Button(interactive=is_busy),
            self._told_of_queue([name for name, _ in waiting]),
            gr.Dropdown(choices=waiting, value=None, visible=bool(waiting)),
            gr.Button(visible=bool(waiting)),
            gr.Dropdown(choices=options, value=newest, visible=can_resume),
            gr.Checkbox(visible=can_resume) if can_resume else gr.Checkbox(False, visible=False),
            gr.Button(wording.QUEUE_RESUME if is_queue else wording.RESUME, visible=can_resume),
        ]

    def _told_of_queue(self, names: Sequence[str]) -> str:
        damaged = ", ".join(self._training.unreadable)
        told = markup.notice(wording.DAMAGED_RUNS.format(ids=damaged), "warn") if damaged else ""
        return told + (markup.steps(wording.QUEUE, names) if names else "")


def _waiting(run: RunSummary) -> str:
    return f"{run.name} (goes on after step {run.step})" if run.step else run.name


def _guide(services: Services) -> str:
    guide = services.guidance.reconnection()
    return markup.steps(guide.message, guide.steps)

"""The owner's side of the blind review: make one, follow the raters, end it, read the result."""

from __future__ import annotations

from typing import Any

import gradio as gr

from medqlora.errors import EvaluationError
from medqlora.services import Services
from ui import downloads, markup, present, review_html, review_words
from ui.guard import guarded
from ui.shared import LIGHT, Shared


def build(shared: Shared, tab: gr.Tab) -> None:
    """Lays the owner's side out and wires it."""
    handlers = Handlers(shared.services)
    with gr.Accordion("For the owner of the study", open=False, elem_id="owner-review"):
        gr.HTML(markup.note(review_words.OWNER_LEAD))
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                source = gr.Dropdown(label="Answers of", elem_id="review-source")
                number = gr.Slider(
                    1, 200, value=30, step=1, label="How many questions", elem_id="review-number"
                )
                reference = gr.Checkbox(
                    label="Show the reference answer",
                    info=review_words.REFERENCE_HELP,
                    elem_id="review-reference",
                )
                make = gr.Button(
                    "Make the review", variant="primary", interactive=False, elem_id="review-make"
                )
                made = gr.HTML(elem_id="review-made")
            with gr.Column(scale=3, min_width=360):
                shown = gr.Dropdown(label="Review", elem_id="review-shown")
                refresh = gr.Button("Refresh", elem_id="review-refresh")
                standing = gr.HTML(elem_id="review-standing")
                anyway = gr.Checkbox(label=review_words.END_MISSING, elem_id="review-anyway")
                end = gr.Button("End and unblind", elem_id="review-end")
                csv = gr.DownloadButton("Download CSV", visible=False, elem_id="review-csv")
    view = [shown, standing, end, anyway, csv]
    once = {"trigger_mode": "once", **LIGHT}
    tab.select(guarded(handlers.open), [source, shown], [source, made, make, *view], **LIGHT)
    make.click(guarded(handlers.make), [source, number, reference], [made, *view], **once)
    gr.on([shown.input, refresh.click], guarded(handlers.show), shown, view, **LIGHT)
    end.click(guarded(handlers.end), [shown, anyway], view, **once)


class Handlers:
    """What the controls do.

    Args:
        services: The backend.
    """

    def __init__(self, services: Services) -> None:
        self._evaluation = services.evaluation
        self._review = services.review

    def open(self, source: str | None, shown: str | None) -> list[Any]:
        """Compare is opened: the evaluations that can be reviewed, and the reviews there are."""
        answered = [
            one for one in self._evaluation.evaluations() if one.state not in ("waiting", "running")
        ]
        ids = [one.evaluation_id for one in answered]
        chosen = source if source in ids else next(iter(ids), None)
        said = gr.skip() if ids else markup.note(review_words.NO_ANSWERS)
        options = present.evaluation_options(answered)
        chooser, button = (
            gr.Dropdown(choices=options, value=chosen),
            gr.Button(interactive=bool(ids)),
        )
        return [chooser, said, button, *self._view(shown)]

    def make(self, source: str | None, number: float, shows_reference: bool) -> list[Any]:
        """Makes a review."""
        if not source:
            raise EvaluationError(
                "There is no evaluation to review.", hint="Start one on Evaluate and let it end."
            )
        review_id = self._review.make(
            source, num_items=int(number), shows_reference=shows_reference
        )
        return [markup.notice(review_words.MADE, "good"), *self._view(review_id)]

    def show(self, shown: str | None) -> list[Any]:
        """Another review was chosen, or the same is to be looked at again."""
        return self._view(shown)

    def end(self, shown: str | None, accept_missing: bool) -> list[Any]:
        """Ends a review and shows its result."""
        if not shown:
            raise EvaluationError("There is no review yet.", hint="Make one at the left.")
        self._review.unblind(shown, accept_missing=accept_missing)
        return self._view(shown)

    def _view(self, shown: str | None) -> list[Any]:
        reviews = self._review.reviews()
        ids = [one.review_id for one in reviews]
        chosen = shown if shown in ids else next(iter(ids), None)
        options = [
            (one.name + (", ended" if one.is_unblinded else ""), one.review_id) for one in reviews
        ]
        is_over = chosen is not None and self._review.is_unblinded(chosen)
        return [
            gr.Dropdown(choices=options, value=chosen),
            self._standing(chosen, is_over=is_over) if chosen else "",
            gr.Button(visible=chosen is not None and not is_over),
            gr.Checkbox(visible=chosen is not None and not is_over, value=False),
            self._download(chosen) if chosen and is_over else gr.DownloadButton(visible=False),
        ]

    def _standing(self, review_id: str, *, is_over: bool) -> str:
        table = review_html.progress(self._review.progress(review_id))
        if not is_over:
            return table + markup.note(review_words.STILL_BLIND)
        review, found = self._review.review(review_id), self._review.result(review_id)
        return table + review_html.result(review, found, self._review.ratings(review_id))

    def _download(self, review_id: str) -> Any:
        return gr.DownloadButton(
            value=str(self._review.write_csv(review_id, downloads.folder())), visible=True
        )

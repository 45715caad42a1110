"""The raters' side of the blind review: take a seat, read two answers, rate.

What a rater may see comes from the rating service, and nothing else of a review passes through
here. The seat is kept in the session on the server; the browser never has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from medqlora.domain.review import ASPECTS, BlindItem
from medqlora.errors import EvaluationError
from medqlora.services.rating import RatingService, Seat
from medqlora.services.screening import ScreeningService
from ui import markup, review_html, review_words
from ui.door.roles import for_reviewers
from ui.guard import guarded
from ui.shared import LIGHT, Shared, phi_warning

CHOICES = [
    ("A is better", "a_better"),
    ("B is better", "b_better"),
    ("Both are good", "both_good"),
    ("Both are bad", "both_bad"),
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rater is.

    Attributes:
        seat: The rater's seat.
        position: The question that is shown.
        told: The note that the rater was warned about last.
    """

    seat: Seat
    position: int
    told: str = ""


def build(shared: Shared, tab: gr.Tab) -> None:
    """Lays the raters' side out and wires it."""
    handlers = Handlers(shared)
    place = gr.State(None)
    gr.HTML(markup.note(review_words.LEAD))
    with gr.Row(equal_height=True):
        review = gr.Dropdown(label="Review", elem_id="review-chosen", scale=3)
        code = gr.Textbox(
            label="Your initials or a code",
            info=review_words.CODE_HELP,
            max_length=12,
            elem_id="review-code",
            scale=2,
        )
        key = gr.Textbox(
            label="Your key", info=review_words.KEY_HELP, elem_id="review-key", scale=2
        )
        begin = gr.Button(
            "Begin", variant="primary", interactive=False, elem_id="review-begin", scale=1
        )
    notice = gr.HTML(elem_id="review-notice")
    with gr.Column(visible=False, elem_id="review-rating") as panel:
        item = gr.HTML(elem_id="review-item")
        choice = gr.Radio(CHOICES, label="Your rating", elem_id="review-choice")
        aspects = gr.CheckboxGroup(
            [(label, name) for name, label in ASPECTS.items()],
            label="What it rests on",
            elem_id="review-aspects",
        )
        note = gr.Textbox(
            label="Why, in a few words",
            info=review_words.NOTE_HELP,
            max_length=500,
            lines=2,
            elem_id="review-note",
        )
        with gr.Row():
            back = gr.Button("Previous", elem_id="review-previous")
            ahead = gr.Button("Next", elem_id="review-next")
            save = gr.Button("Save", variant="primary", elem_id="review-save")
    shown = [place, notice, panel, item, choice, aspects, note]
    once = {"trigger_mode": "once", **LIGHT}
    tab.select(guarded(handlers.open), review, [review, notice, begin], **LIGHT)
    gr.on(
        [begin.click, code.submit, key.submit],
        guarded(handlers.begin),
        [review, code, key],
        [*shown, key],
        **once,
    )
    save.click(guarded(handlers.save), [place, choice, aspects, note], shown, **once)
    back.click(guarded(handlers.back), place, shown, **once)
    ahead.click(guarded(handlers.ahead), place, shown, **once)


class Handlers:
    """What the controls do.

    Args:
        shared: What the tabs share.
    """

    def __init__(self, shared: Shared) -> None:
        self._rating: RatingService = shared.services.rating
        self._screening: ScreeningService = shared.services.screening

    @for_reviewers
    def open(self, chosen: str | None) -> list[Any]:
        """Compare is opened: the reviews that can be rated."""
        reviews = list(self._rating.open_reviews())
        ids = [one for _, one in reviews]
        value = chosen if chosen in ids else next(iter(ids), None)
        said = gr.skip() if ids else markup.note(review_words.NO_OPEN_REVIEW)
        chooser = gr.Dropdown(choices=reviews, value=value)
        return [chooser, said, gr.Button(interactive=value is not None)]

    @for_reviewers
    def begin(self, review_id: str | None, code: str, key: str) -> list[Any]:
        """Takes a seat, and shows the first question that is not rated yet."""
        if not review_id:
            raise EvaluationError(
                "No review is chosen.", hint="Ask its owner whether it is still open."
            )
        seat = self._rating.join(review_id, code, key=key)
        words = review_words.GOES_ON if key else review_words.YOUR_KEY
        said = markup.notice(words.format(rater=seat.rater, key=seat.key))
        return [*self._shown(seat, None, said), ""]

    @for_reviewers
    def save(
        self, place: Place | None, choice: str | None, aspects: list[str], note: str
    ) -> list[Any]:
        """Keeps the rating and goes on; what the PHI screen finds in a note is told first."""
        here = _seated(place)
        warning = phi_warning(self._screening, note, here.told)
        if warning:
            return [Place(here.seat, here.position, told=note), warning, *[gr.skip()] * 5]
        self._rating.rate(here.seat, here.position, choice=choice, aspects=aspects, note=note)
        following = self._rating.item(here.seat)
        is_done = following.num_rated == following.num_items
        said = markup.notice(review_words.SAVED_ALL, "good") if is_done else ""
        return self._shown(here.seat, here.position if is_done else following.position, said)

    @for_reviewers
    def back(self, place: Place | None) -> list[Any]:
        """The question before this one, with what was said of it."""
        here = _seated(place)
        return self._shown(here.seat, here.position - 1, gr.skip())

    @for_reviewers
    def ahead(self, place: Place | None) -> list[Any]:
        """The question after this one."""
        here = _seated(place)
        return self._shown(here.seat, here.position + 1, gr.skip())

    def _shown(self, seat: Seat, position: int | None, said: Any) -> list[Any]:
        item: BlindItem = self._rating.item(seat, position)
        rated = item.rating
        return [
            Place(seat, item.position),
            said,
            gr.Column(visible=True),
            review_html.blind_item(item),
            rated.choice if rated else None,
            list(rated.aspects) if rated else [],
            rated.note if rated else "",
        ]


def _seated(place: Place | None) -> Place:
    if place is None:
        raise EvaluationError("You have not begun yet.", hint="Give your code and press Begin.")
    return place

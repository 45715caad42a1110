"""The blind review as HTML: what a rater reads, how far raters are, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from medqlora.domain.review import ASPECTS, BlindItem, Preference, RaterProgress, Rating, Review
from medqlora.services.review import ReviewResult, agreement_sentence, review_verdict
from ui import markup, review_words

PREFERENCES: Mapping[Preference, str] = {
    "fine_tuned": "Fine-tuned model better",
    "base": "Base model better",
    "both_good": "Both good",
    "both_bad": "Both bad",
}


def blind_item(item: BlindItem) -> str:
    """A question with both answers, as a rater reads it."""
    bar = markup.progress(
        f"Question {item.position} of {item.num_items}",
        item.num_rated / item.num_items,
        detail=f"{item.num_rated} rated",
    )
    reference = _card("Reference answer", item.reference) if item.reference else ""
    answers = _card("Answer A", item.answer_a) + _card("Answer B", item.answer_b)
    return (
        f'{bar}<p class="mq-question">{markup.safe(item.question)}</p>{reference}'
        f'<div class="mq-answers">{answers}</div>'
    )


def progress(everybody: Sequence[RaterProgress]) -> str:
    """How far each rater is, without what they said."""
    if not everybody:
        return markup.empty(review_words.NO_RATERS)
    rows = [(one.rater, f"{one.num_rated} of {one.num_items}") for one in everybody]
    return markup.table(("Rater", "Rated"), rows, caption="Progress")


def result(review: Review, found: ReviewResult, ratings: Sequence[Rating]) -> str:
    """What came of an unblinded review."""
    low, high = found.ci_win_rate
    tiles = {
        "Win rate of the fine-tuned model": f"{found.win_rate:.0%} ({low:.0%} to {high:.0%})",
        "Raters": str(found.num_raters),
        "Ratings": str(found.num_ratings),
    }
    method = review_words.METHOD.format(
        items=found.num_items,
        decided=found.items_won + found.items_lost,
        p=f"{found.sign_p:.3f}",
        seed=review.seed,
    )
    left_out = review_words.IDENTICAL.format(number=review.num_identical)
    return (
        markup.notice(review_verdict(found))
        + markup.facts(tiles)
        + markup.table(
            ("Rating", "Times", *ASPECTS.values()), _reasons(found, ratings), caption="Ratings"
        )
        + markup.note(agreement_sentence(found.agreement))
        + markup.note(method + (f" {left_out}" if review.num_identical else ""))
    )


def _reasons(found: ReviewResult, ratings: Sequence[Rating]) -> list[tuple[object, ...]]:
    counted = Counter((one.preference, name) for one in ratings for name in one.aspects)
    return [
        (label, found.counts[name], *(counted[name, aspect] for aspect in ASPECTS))
        for name, label in PREFERENCES.items()
    ]


def _card(title: str, text: str) -> str:
    shown = markup.safe(text) if text.strip() else f"<em>{review_words.NO_ANSWER}</em>"
    return f'<section class="mq-answer"><h3>{title}</h3><div>{shown}</div></section>'

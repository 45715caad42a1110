"""The ratings of a review as a spreadsheet, one row a rating.

Cells are guarded as those of an evaluation are (`evaluation.table`), so that none of them is run.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

from medqlora.domain.review import Rating, Review
from medqlora.evaluation.table import guarded

COLUMNS = (
    "item",
    "question",
    "reference",
    "base_response",
    "finetuned_response",
    "rater",
    "answer_a",
    "choice",
    "preference",
    "aspects",
    "note",
    "rated_at",
)


def ratings_csv(review: Review, ratings: Sequence[Rating], *, masked: Callable[[str], str]) -> str:
    """The ratings as CSV text with a header.

    Args:
        review: The questions and answers.
        ratings: What was said of them.
        masked: Takes out what the PHI screen finds; applied to what people typed: notes, and
            questions without a reference answer with their answers.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in sorted(ratings, key=lambda one: (one.item, one.rater)):
        item = review.items[one.item - 1]
        texts = [item.question, item.reference or "", item.base, item.fine_tuned]
        if item.reference is None:
            texts = [masked(text) for text in texts]
        first = "base" if one.is_base_first else "fine_tuned"
        said = (one.rater, first, one.choice, one.preference, " ".join(one.aspects))
        cells = (*texts, *said, masked(one.note), one.at)
        writer.writerow([one.item, *map(guarded, cells)])
    return text.getvalue()

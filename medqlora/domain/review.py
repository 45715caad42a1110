"""Blind review: two answers to a question, rated without knowing which model wrote which.

What a rater may see is a `BlindItem`; everything else here says who is who and stays with the owner
until the review is unblinded. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Choice = Literal["a_better", "b_better", "both_good", "both_bad"]
"""What a rater presses."""

Preference = Literal["base", "fine_tuned", "both_good", "both_bad"]
"""What was meant, once it is known who wrote which answer."""

PREFERENCES: tuple[Preference, ...] = ("fine_tuned", "base", "both_good", "both_bad")

ASPECTS: Mapping[str, str] = {
    "correct": "Correctness",
    "safe": "Safety",
    "complete": "Completeness",
    "clear": "Clarity",
    "brief": "Length",
    "other": "Something else",
}
"""What a rating can rest on: its name in the records, and on screen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """One question with both answers.

    Attributes:
        number: Which item of the review, counted from 1.
        question: What was asked.
        reference: The answer that is known to be good, or None.
        base: The base model's answer.
        fine_tuned: The fine-tuned model's answer.
    """

    number: int
    question: str
    reference: str | None
    base: str
    fine_tuned: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What is reviewed; written once.

    Attributes:
        review_id: The review.
        name: What raters see; says nothing of the models.
        created_at: UTC time, ISO 8601.
        seed: Decides each rater's order of items, and which answer is A.
        run_id: The run whose adapter answered.
        evaluation_id: The evaluation that the answers were taken from.
        shows_reference: Whether raters see the reference answer.
        num_identical: Questions left out because both answers were the same.
        items: The questions and answers.
    """

    review_id: str
    name: str
    created_at: str
    seed: int
    run_id: str
    evaluation_id: str
    shows_reference: bool
    num_identical: int
    items: tuple[ReviewItem, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Review:
        """What `to_json` gave.

        Raises:
            TypeError: A field is missing or unknown.
            KeyError: There are no items.
        """
        return cls(**{**record, "items": tuple(ReviewItem(**one) for one in record["items"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """One rater's word on one item; the newest of an item counts.

    Attributes:
        rater: Initials or code.
        item: Number of the item.
        choice: What was pressed.
        is_base_first: Whether answer A was the base model's.
        aspects: What it rests on, names of `ASPECTS`.
        note: Why, in the rater's words.
        at: UTC time, ISO 8601.
    """

    rater: str
    item: int
    choice: Choice
    is_base_first: bool
    aspects: tuple[str, ...]
    note: str
    at: str

    @property
    def preference(self) -> Preference:
        """Which model was meant."""
        if self.choice == "both_good" or self.choice == "both_bad":
            return self.choice
        return "base" if (self.choice == "a_better") == self.is_base_first else "fine_tuned"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindItem:
    """What a rater sees of an item.

    Attributes:
        position: Where it stands in the rater's order, counted from 1.
        num_items: Items in all.
        num_rated: Items that this rater has rated.
        question: What was asked.
        reference: The reference answer, or None where it is not shown.
        answer_a: One model's answer.
        answer_b: The other's.
        rating: What this rater said of it before, or None.
    """

    position: int
    num_items: int
    num_rated: int
    question: str
    reference: str | None
    answer_a: str
    answer_b: str
    rating: Rating | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterProgress:
    """How far a rater is.

    Attributes:
        rater: Initials or code.
        num_rated: Items rated.
        num_items: Items in all.
    """

    rater: str
    num_rated: int
    num_items: int

    @property
    def is_done(self) -> bool:
        """Whether every item was rated."""
        return self.num_rated == self.num_items

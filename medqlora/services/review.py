"""ReviewService: what a review's owner does: make it of answers that exist, follow it, end it.

No model is asked here, so raters need no GPU. What raters do is `services.rating`'s.
"""

from __future__ import annotations

import random
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from medqlora.domain.reasoning import Spoken
from medqlora.domain.review import RaterProgress, Rating, Review, ReviewItem
from medqlora.errors import AccessError, EvaluationError, PersistenceError
from medqlora.evaluation.blind_review import (
    ReviewResult,
    agreement_sentence,
    review_verdict,
    summarise_ratings,
)
from medqlora.evaluation.review_table import ratings_csv
from medqlora.persistence.atomic import write_text
from medqlora.persistence.review_folder import ReviewFolder
from medqlora.persistence.workspace import Workspace, child
from medqlora.runs.run_directory import new_run_id
from medqlora.services.evaluation import EvaluationService
from medqlora.services.screening import ScreeningService

__all__ = [
    "ReviewOverview",
    "ReviewResult",
    "ReviewService",
    "agreement_sentence",
    "review_verdict",
]

MAX_ITEMS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOverview:
    """One line of the list of reviews.

    Attributes:
        review_id: The review.
        name: What raters see.
        created_at: UTC time, ISO 8601.
        run_id: The run whose adapter answered.
        is_unblinded: Whether it is over and its result is known.
    """

    review_id: str
    name: str
    created_at: str
    run_id: str
    is_unblinded: bool


class ReviewService:
    """Blind reviews of the workspace.

    Args:
        workspace: The workspace.
        evaluation: Where the answers come from.
        screening: The PHI screen for what is exported.

    Attributes:
        unreadable: Ids of the reviews whose record was damaged when they were last listed.
    """

    def __init__(
        self, workspace: Workspace, evaluation: EvaluationService, screening: ScreeningService
    ) -> None:
        self._reviews = workspace.reviews
        self._evaluation = evaluation
        self._screening = screening
        self.unreadable: tuple[str, ...] = ()

    def make(
        self, evaluation_id: str, *, num_items: int, shows_reference: bool, seed: int | None = None
    ) -> str:
        """Makes a review of an evaluation's answers and returns its id.

        Args:
            evaluation_id: The evaluation.
            num_items: How many questions at most; drawn at random when there are more.
            shows_reference: Whether raters see the reference answers.
            seed: Decides what is drawn and every order; a new one when not given.

        Raises:
            EvaluationError: It has no answers yet, is still going on, or no two answers differ.
        """
        if not 1 <= num_items <= MAX_ITEMS:
            raise EvaluationError(
                f"A review has between 1 and {MAX_ITEMS} questions, got {num_items}.",
                hint="30 take a rater about half an hour.",
            )
        answered = self._answered(evaluation_id)
        different = [one for one in answered if one.base.strip() != one.fine_tuned.strip()]
        if not different:
            raise EvaluationError(
                "Both models gave the same answer to every question, so there is nothing to rate.",
                hint="Train longer, or ask other questions.",
            )
        seed = secrets.randbits(32) if seed is None else seed
        chosen = random.Random(seed).sample(different, min(num_items, len(different)))
        at = datetime.now(UTC)
        review = Review(
            review_id=new_run_id("review"),
            name=f"Review of {len(chosen)} questions, {at:%d %b %Y, %H:%M} UTC",
            created_at=at.isoformat(timespec="seconds"),
            seed=seed,
            run_id=self._evaluation.spec(evaluation_id).dataset["run_id"],
            evaluation_id=evaluation_id,
            shows_reference=shows_reference,
            num_identical=len(answered) - len(different),
            items=tuple(
                ReviewItem(**{**asdict(one), "number": number})
                for number, one in enumerate(chosen, 1)
            ),
        )
        ReviewFolder.create(self._reviews, review)
        return review.review_id

    def reviews(self) -> tuple[ReviewOverview, ...]:
        """All reviews, newest first."""
        found, unreadable = [], []
        for path in sorted(self._reviews.glob("*/review.json"), reverse=True):
            try:
                found.append(_overview(ReviewFolder(path.parent)))
            except PersistenceError:
                unreadable.append(path.parent.name)
        self.unreadable = tuple(unreadable)
        return tuple(found)

    def progress(self, review_id: str) -> tuple[RaterProgress, ...]:
        """How far each rater is, in the order in which they joined."""
        folder = self._folder(review_id)
        num_items = len(folder.review().items)
        return tuple(
            RaterProgress(rater=rater, num_rated=len(rated), num_items=num_items)
            for rater, rated in folder.ratings().items()
        )

    def is_unblinded(self, review_id: str) -> bool:
        """Whether the review is over and its result may be seen."""
        return self._folder(review_id).is_unblinded()

    def unblind(self, review_id: str, *, accept_missing: bool = False) -> None:
        """Ends a review: nothing can be rated any more, and the result is known.

        Args:
            review_id: The review.
            accept_missing: Whether to end it although raters are not through.

        Raises:
            EvaluationError: Nobody has rated, or a rater is not through and that was not accepted.
        """
        if self.is_unblinded(review_id):
            return
        everybody = self.progress(review_id)
        if not any(one.num_rated for one in everybody):
            raise EvaluationError(
                "Nobody has rated anything yet.", hint="Share the link and let the raters begin."
            )
        late = [one for one in everybody if not one.is_done]
        if late and not accept_missing:
            missing = ", ".join(f"{one.rater} ({one.num_rated} of {one.num_items})" for one in late)
            raise EvaluationError(
                f"Not through yet: {missing}.",
                hint="Wait for them, or tick End it although ratings are missing.",
            )
        self._folder(review_id).unblind()

    def review(self, review_id: str) -> Review:
        """The questions, the answers and who gave them.

        Raises:
            AccessError: The review is still blind.
        """
        return self._unblinded(review_id).review()

    def ratings(self, review_id: str) -> tuple[Rating, ...]:
        """The ratings that count: the newest of each rater for each item.

        Raises:
            AccessError: The review is still blind.
        """
        rated = self._unblinded(review_id).ratings()
        return tuple(one for of_rater in rated.values() for one in of_rater.values())

    def result(self, review_id: str) -> ReviewResult:
        """Counts, win rate and agreement.

        Raises:
            AccessError: The review is still blind.
        """
        return summarise_ratings(self.ratings(review_id))

    def write_csv(self, review_id: str, folder: Path) -> Path:
        """Writes every rating as a spreadsheet into `folder` and returns the file.

        What people typed leaves with what the PHI screen finds masked.

        Raises:
            AccessError: The review is still blind.
        """
        review = self.review(review_id)
        path = folder / f"{review.review_id}.csv"
        table = ratings_csv(review, self.ratings(review_id), masked=self._screening.masked)
        write_text(path, table)
        return path

    def _answered(self, evaluation_id: str) -> list[ReviewItem]:
        if self._evaluation.snapshot(evaluation_id).is_live:
            raise EvaluationError(
                "This evaluation is still going on.", hint="Let it end, or stop it on Evaluate."
            )
        items = self._evaluation.items(evaluation_id)
        if not items:
            raise EvaluationError(
                "This evaluation has no answers, so there is nothing to rate.",
                hint="Start one on Evaluate and let it answer.",
            )
        return [
            ReviewItem(
                number=one.index,
                question=one.base.query,
                reference=one.reference,
                # What a model thinks aloud would tell which one it is.
                base=Spoken.of(one.base.response).answer,
                fine_tuned=Spoken.of(one.finetuned.response).answer,
            )
            for one in items
        ]

    def _folder(self, review_id: str) -> ReviewFolder:
        return ReviewFolder(child(self._reviews, review_id))

    def _unblinded(self, review_id: str) -> ReviewFolder:
        folder = self._folder(review_id)
        if not folder.is_unblinded():
            raise AccessError(
                "The review is still blind.", hint="End it first, when the raters are through."
            )
        return folder


def _overview(folder: ReviewFolder) -> ReviewOverview:
    review = folder.review()
    return ReviewOverview(
        review_id=review.review_id,
        name=review.name,
        created_at=review.created_at,
        run_id=review.run_id,
        is_unblinded=folder.is_unblinded(),
    )

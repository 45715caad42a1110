"""RatingService: what a rater does in a blind review: take a seat, read, rate.

It gives out `BlindItem`s and nothing else of a review. A rater's key keeps everybody else from
rating, or looking, in their name. Making and ending reviews is `services.review`'s.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import get_args

from medqlora.domain.review import ASPECTS, BlindItem, Choice, Rating
from medqlora.errors import AccessError, EvaluationError, PersistenceError
from medqlora.evaluation.blind_review import Placement, order_for
from medqlora.persistence.review_folder import ReviewFolder, now
from medqlora.persistence.workspace import Workspace, child

MAX_RATERS = 50
MAX_NOTE_CHARS = 500
_CODE = re.compile(r"\w[\w-]{0,11}")
_KEY_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is read as another
_KEY_LENGTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A rater's place in a review.

    Attributes:
        review_id: The review.
        rater: Initials or code.
        key: What proves that it is the same person.
    """

    review_id: str
    rater: str
    key: str


class RatingService:
    """The raters' side of the workspace's reviews.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._reviews = workspace.reviews
        self._lock = threading.Lock()

    def open_reviews(self) -> tuple[tuple[str, str], ...]:
        """Name and id of the reviews that can be rated, newest first."""
        found = []
        for path in sorted(self._reviews.glob("*/review.json"), reverse=True):
            folder = ReviewFolder(path.parent)
            with suppress(PersistenceError):  # a damaged one is told to its owner
                if not folder.is_unblinded():
                    found.append((folder.review().name, path.parent.name))
        return tuple(found)

    def join(self, review_id: str, code: str, *, key: str = "") -> Seat:
        """Takes a seat under initials or a code, or the seat of earlier with its key.

        Raises:
            EvaluationError: The code is none, or somebody else's; or the review is over.
        """
        rater, folder = _checked_code(code), self._open_folder(review_id)
        with self._lock:
            known = folder.key_digests()
            if rater in known:
                if not secrets.compare_digest(known[rater], _digest(key)):
                    raise EvaluationError(
                        f"Somebody already rates as {rater} in this review.",
                        hint="Choose another code; if it was you, give the key that you were "
                        "shown when you began.",
                    )
                return Seat(review_id=review_id, rater=rater, key=key)
            if len(known) >= MAX_RATERS:
                raise EvaluationError(
                    f"This review has {MAX_RATERS} raters already.", hint="Ask its owner."
                )
            new = "".join(secrets.choice(_KEY_LETTERS) for _ in range(_KEY_LENGTH))
            folder.add_rater(rater, key_digest=_digest(new))
        return Seat(review_id=review_id, rater=rater, key=new)

    def item(self, seat: Seat, position: int | None = None) -> BlindItem:
        """What the rater sees at a position; without one, the first that is not rated yet.

        When all are rated that is the last one again.

        Raises:
            AccessError: The seat is somebody else's.
        """
        folder = ReviewFolder(child(self._reviews, seat.review_id))
        order, review = _order(folder, seat), folder.review()
        mine = folder.ratings()[seat.rater]
        if position is None:
            unrated = (place for place, one in enumerate(order, 1) if one.item not in mine)
            position = next(unrated, len(order))
        position = min(max(position, 1), len(order))
        placed = order[position - 1]
        item = review.items[placed.item - 1]
        answers = (item.base, item.fine_tuned)
        first, second = answers if placed.is_base_first else answers[::-1]
        return BlindItem(
            position=position,
            num_items=len(order),
            num_rated=len(mine),
            question=item.question,
            reference=item.reference if review.shows_reference else None,
            answer_a=first,
            answer_b=second,
            rating=mine.get(placed.item),
        )

    def rate(
        self, seat: Seat, position: int, *, choice: str | None, aspects: Sequence[str], note: str
    ) -> None:
        """Keeps a rating of the item at a position; an earlier one of it counts no more.

        Raises:
            EvaluationError: The rating or the reason is missing, or the review is over.
            AccessError: The seat is somebody else's.
        """
        _check_reason(aspects, note)
        pressed = next((one for one in get_args(Choice) if one == choice), None)
        if pressed is None:
            raise EvaluationError(
                "There is no rating yet.", hint="Choose one of the four, then save."
            )
        with self._lock:
            folder = self._open_folder(seat.review_id)
            order = _order(folder, seat)
            if not 1 <= position <= len(order):
                raise EvaluationError("There is no such question.", hint="Press Begin again.")
            placed = order[position - 1]
            rating = Rating(
                rater=seat.rater,
                item=placed.item,
                choice=pressed,
                is_base_first=placed.is_base_first,
                aspects=tuple(name for name in ASPECTS if name in aspects),
                note=note.strip(),
                at=now(),
            )
            folder.add_rating(rating)

    def _open_folder(self, review_id: str) -> ReviewFolder:
        folder = ReviewFolder(child(self._reviews, review_id))
        if folder.is_unblinded():
            raise EvaluationError(
                "This review is over; its ratings are final.", hint="Ask its owner for a new one."
            )
        return folder


def _order(folder: ReviewFolder, seat: Seat) -> tuple[Placement, ...]:
    known = folder.key_digests().get(seat.rater, "")
    if not secrets.compare_digest(known, _digest(seat.key)):
        raise AccessError(
            "This place in the review is not yours.", hint="Begin with your code and your key."
        )
    review = folder.review()
    return order_for(seat.rater, seed=review.seed, num_items=len(review.items))


def _check_reason(aspects: Sequence[str], note: str) -> None:
    if not aspects and not note.strip():
        raise EvaluationError(
            "There is no reason yet.", hint="Tick what it rests on, or write a few words."
        )
    if len(note) > MAX_NOTE_CHARS or not set(aspects) <= set(ASPECTS):
        raise EvaluationError(
            f"A reason has at most {MAX_NOTE_CHARS} characters.", hint="Shorten it."
        )


def _checked_code(code: str) -> str:
    rater = unicodedata.normalize("NFC", code).strip().upper()
    if not _CODE.fullmatch(rater):
        raise EvaluationError(
            "Initials or a code have 1 to 12 letters, digits or hyphens.",
            hint="For example AB, or R1; not your full name.",
        )
    return rater


def _digest(key: str) -> str:
    return hashlib.sha256(key.strip().lower().encode()).hexdigest()

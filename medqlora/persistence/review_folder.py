"""ReviewFolder: one blind review on disk.

    <review_id>/
      review.json     the questions, the answers, who gave them, and the seed; written once
      journal.jsonl   who joined, each rating as it was made, the unblinding; only ever appended

It reads and appends. Who may do or see what is for the services.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medqlora.domain.review import Rating, Review
from medqlora.errors import PersistenceError
from medqlora.persistence.atomic import write_json
from medqlora.persistence.journal import append_record, read_records
from medqlora.persistence.whole_folders import made_whole


@dataclass(frozen=True, slots=True)
class ReviewFolder:
    """Paths and records of one review."""

    path: Path

    @classmethod
    def create(cls, folder: Path, review: Review) -> ReviewFolder:
        """Writes a new review into `folder`.

        Raises:
            DiskFullError: No space is left.
        """
        path = folder / review.review_id
        with made_whole(path) as made:
            write_json(made / "review.json", review.to_json())
        return cls(path)

    @property
    def journal(self) -> Path:
        """What happened."""
        return self.path / "journal.jsonl"

    def review(self) -> Review:
        """What is reviewed.

        Raises:
            PersistenceError: Its record is damaged.
        """
        try:
            record = json.loads((self.path / "review.json").read_text(encoding="utf-8"))
            return Review.from_json(record)
        except (OSError, ValueError, TypeError, KeyError):
            raise PersistenceError(
                f"The record of {self.path.name} is damaged.",
                hint="Its folder is kept; everything else goes on.",
            ) from None  # the cause may quote an answer

    def is_unblinded(self) -> bool:
        """Whether the review is over."""
        return any(one["kind"] == "unblinded" for one in self._records())

    def key_digests(self) -> dict[str, str]:
        """SHA-256 of each rater's key, in the order in which they joined."""
        joined = (one for one in self._records() if one["kind"] == "joined")
        return {one["rater"]: one["key_sha256"] for one in joined}

    def ratings(self) -> dict[str, dict[int, Rating]]:
        """The newest rating of each item, by rater; a rater who has only joined has none."""
        rated: dict[str, dict[int, Rating]] = {}
        for record in self._records():
            match record.pop("kind"):
                case "joined":
                    rated.setdefault(record["rater"], {})
                case "rated":
                    one = Rating(**{**record, "aspects": tuple(record["aspects"])})
                    rated[one.rater][one.item] = one
        return rated

    def add_rater(self, rater: str, *, key_digest: str) -> None:
        """Records that somebody joined."""
        self._append(kind="joined", rater=rater, key_sha256=key_digest, at=now())

    def add_rating(self, rating: Rating) -> None:
        """Records a rating."""
        self._append(kind="rated", **asdict(rating))

    def unblind(self) -> None:
        """Records that the review is over."""
        self._append(kind="unblinded", at=now())

    def _append(self, **record: Any) -> None:
        append_record(self.journal, record)

    def _records(self) -> list[dict[str, Any]]:
        return read_records(self.journal)


def now() -> str:
    """UTC time, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")

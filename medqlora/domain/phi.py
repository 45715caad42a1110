"""What a PHI screen says about a text and about a dataset: spans, and the record of a screening.

Plain values. Finding is `data.phi.screen`, acting on what was found is `data.phi.entries`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

PhiKind = Literal[
    "name",
    "location",
    "date",
    "age",
    "phone",
    "fax",
    "email",
    "ssn",
    "mrn",
    "health_plan",
    "account",
    "licence",
    "vehicle",
    "device",
    "url",
    "ip",
    "unique_id",
]
"""The kinds of Safe Harbor that text can hold (45 CFR 164.514(b)(2)); pictures are not."""

PhiAction = Literal["mask", "surrogate", "drop", "keep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhiSpan:
    """One stretch of a text that may identify somebody.

    Attributes:
        start: Offset of its first character in the text.
        end: Offset after its last character.
        kind: Which kind of identifier it seems to be.
        score: How sure the screen is, 0 to 1; not a probability.
        reason: What it was recognised by, one phrase for the user, without the text itself.
    """

    start: int
    end: int
    kind: PhiKind
    score: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningRecord:
    """What the PHI screen found in a dataset and what was done about it.

    Attributes:
        action: What was done with rows in which something was found.
        counts: Number of spans by kind.
        num_rows: Rows that were screened.
        rows_touched: Rows in which something was found.
        rows_dropped: Rows left out because of it.
        rules_version: Version of the screen's rules.
        screened_at: UTC time, ISO 8601.
        confirmation: What the user typed to keep what was found; None for every other action.
    """

    action: PhiAction
    counts: Mapping[PhiKind, int] = field(default_factory=dict)
    num_rows: int
    rows_touched: int
    rows_dropped: int = 0
    rules_version: str
    screened_at: str
    confirmation: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Flat, for a dataset's card and a run's record; holds no text of any row."""
        return {**asdict(self), "counts": dict(self.counts)}

"""Identifiers with a shape of their own or a label in front, as data."""

from __future__ import annotations

import re
from dataclasses import dataclass

from medqlora.domain.phi import PhiKind

VERSION = "1"
"""Raised whenever what the screen finds changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhiRule:
    """One thing to look for.

    Attributes:
        kind: What a match is.
        pattern: Its shape; the group `phi` is the span, or the whole match where there is none.
        score: How sure a match is, 0 to 1.
        reason: What it was recognised by, for the user.
    """

    kind: PhiKind
    pattern: re.Pattern[str]
    score: float
    reason: str


RULES: tuple[PhiRule, ...] = (
    PhiRule(
        kind="email",
        pattern=re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"),
        score=0.99,
        reason="the shape of an e-mail address",
    ),
)

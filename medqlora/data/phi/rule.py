"""What a rule of the PHI screen is: a kind, a shape, how sure it is, and a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from medqlora.domain.phi import PhiKind, PhiSpan


@dataclass(frozen=True, slots=True, kw_only=True)
class PhiRule:
    """One thing to look for.

    Attributes:
        kind: What a match is.
        pattern: Its shape; the group `phi` is the span, or the whole match where there is none.
        score: How sure a match is, 0 to 1.
        reason: What it was recognised by, for the user.
        min_digits: A span with fewer digits is none.
    """

    kind: PhiKind
    pattern: re.Pattern[str]
    score: float
    reason: str
    min_digits: int = 0


def matches(rule: PhiRule, text: str) -> Iterator[PhiSpan]:
    """The spans that a rule finds in a text."""
    group = "phi" if "phi" in rule.pattern.groupindex else 0
    for match in rule.pattern.finditer(text):
        if sum(map(str.isdecimal, match[group])) >= rule.min_digits:
            yield PhiSpan(
                start=match.start(group),
                end=match.end(group),
                kind=rule.kind,
                score=rule.score,
                reason=rule.reason,
            )

"""`PhiScreen`: what in one text may identify a person.

It reads; what to do about it is `entries`. It needs no network and no model, and holds no text.
"""

from __future__ import annotations

from medqlora.data.phi.rules import RULES, VERSION
from medqlora.domain.phi import PhiSpan


class PhiScreen:
    """Finds what may identify a person in a text.

    Attributes:
        version: Version of its rules, for the record of a screening.
    """

    version = VERSION

    def find(self, text: str) -> list[PhiSpan]:
        """The spans found in `text`, in order, none overlapping another."""
        return [
            PhiSpan(
                start=match.start(),
                end=match.end(),
                kind=rule.kind,
                score=rule.score,
                reason=rule.reason,
            )
            for rule in RULES
            for match in rule.pattern.finditer(text)
        ]

"""`PhiScreen`: what in one text may identify a person.

It reads; what to do about it is `entries`. It needs no network and no model, and holds no text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from medqlora.data.phi.addresses import STATE_AFTER
from medqlora.data.phi.dates import find_dates
from medqlora.data.phi.names import find_names
from medqlora.data.phi.places import find_places
from medqlora.data.phi.rule import matches
from medqlora.data.phi.rules import RULES, VERSION
from medqlora.data.phi.tokens import tokens_of
from medqlora.domain.phi import PhiSpan

_PLACE_JOINT = re.compile(r"(?:,? (?:in|at|of|near)(?: the)? |,\s{0,2}|\s{1,2})")


class PhiScreen:
    """Finds what may identify a person in a text.

    Attributes:
        version: Version of its rules, for the record of a screening.
    """

    version = VERSION

    def find(self, text: str) -> list[PhiSpan]:
        """The spans found in `text`, in order, none overlapping another."""
        tokens = tokens_of(text)
        found = [span for rule in RULES for span in matches(rule, text)]
        found += find_dates(text)
        found += find_places(text, tokens)
        found += find_names(text, tokens)
        return _joined_places(text, _disjoint(found))


def _disjoint(spans: Iterable[PhiSpan]) -> list[PhiSpan]:
    """Spans that overlap become one, of the kind of the longer, of equally long ones the surer."""
    kept: list[PhiSpan] = []
    for span in sorted(spans, key=lambda one: (one.start, one.start - one.end, -one.score)):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
        elif span.end > kept[-1].end:
            last = kept[-1]
            longer = max(last, span, key=lambda one: one.end - one.start)
            kept[-1] = replace(longer, start=last.start, end=span.end)
    return kept


def _joined_places(text: str, spans: list[PhiSpan]) -> list[PhiSpan]:
    """A hospital and its city are one location."""
    joined: list[PhiSpan] = []
    for span in spans:
        last = joined[-1] if joined else None
        if (
            last
            and last.kind == span.kind == "location"
            and _PLACE_JOINT.fullmatch(text, last.end, span.start)
        ):
            joined[-1] = replace(last, end=span.end, score=max(last.score, span.score))
        else:
            joined.append(span)
    return [_with_state(text, span) if span.kind == "location" else span for span in joined]


def _with_state(text: str, span: PhiSpan) -> PhiSpan:
    match = STATE_AFTER.match(text, span.end)
    return replace(span, end=match.end()) if match else span

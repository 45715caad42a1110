"""Training questions that a benchmark also asks: exactly, but for case and spaces, or nearly.

Two questions are near when at least four fifths of all their five-letter pieces are shared
(Jaccard similarity of the sets of character 5-grams of the normalised text). It is computed, not
estimated: two sets that similar must share one of the few rarest pieces of each (prefix filtering,
Chaudhuri et al. 2006), so that only those are looked up.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

from medqlora.data.normalising import fingerprint, normalised
from medqlora.domain.records import Overlap

NEAR = 0.8
_PIECE = 5
_MAX_CHARS = 2_000
"""Beyond this a question is compared by its beginning."""

Match = Literal["exact", "normalised", "near"]
Pieces = frozenset[int]


class OverlapIndex:
    """The questions of a benchmark, against which training questions are looked up.

    Args:
        benchmark: What it is called.
        questions: Its questions; they are gone through once and not kept as text.
    """

    def __init__(self, benchmark: str, questions: Iterable[str]) -> None:
        self.benchmark = benchmark
        self._exact: dict[int, int] = {}
        self._normalised: dict[int, int] = {}
        self._pieces: list[Pieces] = []
        for question in questions:
            folded = normalised(question)
            item = self._normalised.setdefault(_key(folded), len(self._pieces))
            if item == len(self._pieces):
                self._pieces.append(_pieces(folded))
            self._exact.setdefault(_key(question), item)
        self._frequency = Counter(piece for pieces in self._pieces for piece in pieces)
        self._by_rare: dict[int, list[int]] = defaultdict(list)
        for item, pieces in enumerate(self._pieces):
            for piece in self._rarest(pieces):
                self._by_rare[piece].append(item)
        self._counts: Counter[Match] = Counter()
        self._met: set[int] = set()

    def look_up(self, question: str) -> None:
        """Counts one training question."""
        folded = normalised(question)
        same = self._normalised.get(_key(folded))
        if same is not None:
            self._note("exact" if _key(question) in self._exact else "normalised", [same])
        elif near := self._near(_pieces(folded)):
            self._note("near", near)

    def overlap(self) -> Overlap:
        """What was found so far."""
        return Overlap(
            benchmark=self.benchmark,
            num_items=len(self._pieces),
            num_exact=self._counts["exact"],
            num_normalised=self._counts["normalised"],
            num_near=self._counts["near"],
            num_items_met=len(self._met),
        )

    def _near(self, pieces: Pieces) -> list[int]:
        candidates = {
            item for piece in self._rarest(pieces) for item in self._by_rare.get(piece, ())
        }
        return [item for item in candidates if _similarity(pieces, self._pieces[item]) >= NEAR]

    def _rarest(self, pieces: Pieces) -> Sequence[int]:
        num = len(pieces) - math.ceil(NEAR * len(pieces)) + 1
        return sorted(pieces, key=lambda piece: (self._frequency.get(piece, 0), piece))[:num]

    def _note(self, match: Match, items: Iterable[int]) -> None:
        self._counts[match] += 1
        self._met.update(items)


def _similarity(one: Pieces, other: Pieces) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def _pieces(text: str) -> Pieces:
    text = text[:_MAX_CHARS]
    # Hashes of Python's own would differ from process to process, and so would the order of ties.
    return frozenset(
        _key(text[start : start + _PIECE]) for start in range(max(len(text) - _PIECE + 1, 1))
    )


def _key(text: str) -> int:
    return int.from_bytes(fingerprint(text)[:8])

"""Training questions that a benchmark also asks: exactly, but for case and spaces, or nearly.

Two questions are near when at least four fifths of all their five-letter pieces are shared
(Jaccard similarity of the sets of character 5-grams of the normalised text). It is computed, not
estimated: two sets that similar must share several of the rarest pieces of each (prefix filtering,
Chaudhuri et al. 2006; Wang et al. 2012), so that only those are looked up.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import Literal

from medqlora.data.normalising import fingerprint, normalised
from medqlora.domain.records import Overlap

NEAR = 0.8
_PIECE = 5
_SHARED = 4
_MAX_CHARS = 2_000
"""Beyond this a question is compared by its beginning."""

Match = Literal["exact", "normalised", "near"]


class OverlapIndex:
    """The questions of a benchmark, against which training questions are looked up.

    Args:
        benchmark: What it is called.
        questions: Its questions; they are gone through once and not kept as text.
    """

    def __init__(self, benchmark: str, questions: Iterable[str]) -> None:
        self.benchmark = benchmark
        self._exact: set[int] = set()
        self._normalised: dict[int, int] = {}
        self._ids: dict[str, int] = {}
        self._items: list[array[int]] = []
        for question in questions:
            folded = normalised(question)
            self._exact.add(fingerprint(question))
            if self._normalised.setdefault(fingerprint(folded), len(self._items)) == len(
                self._items
            ):
                self._items.append(array("I", map(self._id, _pieces(folded))))
        self._frequency = Counter(piece for pieces in self._items for piece in pieces)
        self._by_rare: dict[int, list[int]] = defaultdict(list)
        for item, pieces in enumerate(self._items):
            for piece in self._rarest(pieces, num_pieces=len(pieces)):
                self._by_rare[piece].append(item)
        self._counts: Counter[Match] = Counter()
        self._met: set[int] = set()

    def look_up(self, question: str) -> None:
        """Counts one training question."""
        folded = normalised(question)
        same = self._normalised.get(fingerprint(folded))
        if same is not None:
            self._note("exact" if fingerprint(question) in self._exact else "normalised", [same])
        elif near := self._near(_pieces(folded)):
            self._note("near", near)

    def overlap(self) -> Overlap:
        """What was found so far."""
        return Overlap(
            benchmark=self.benchmark,
            num_items=len(self._items),
            num_exact=self._counts["exact"],
            num_normalised=self._counts["normalised"],
            num_near=self._counts["near"],
            num_items_met=len(self._met),
        )

    def _id(self, piece: str) -> int:
        return self._ids.setdefault(piece, len(self._ids))

    def _near(self, pieces: frozenset[str]) -> list[int]:
        known = {self._ids[piece] for piece in pieces if piece in self._ids}
        shared: Counter[int] = Counter()
        for piece in self._rarest(known, num_pieces=len(pieces)):
            shared.update(self._by_rare.get(piece, ()))
        least = min(_SHARED, _least(len(pieces)))
        candidates = [item for item, count in shared.items() if count >= least]
        return [item for item in candidates if self._is_near(known, len(pieces), item)]

    def _is_near(self, known: Collection[int], num_pieces: int, item: int) -> bool:
        pieces = self._items[item]
        if min(num_pieces, len(pieces)) < NEAR * max(num_pieces, len(pieces)):
            return False
        num_shared = sum(piece in known for piece in pieces)
        return num_shared >= NEAR * (num_pieces + len(pieces) - num_shared)

    def _rarest(self, known: Collection[int], *, num_pieces: int) -> list[int]:
        """Of a text's pieces those among which one as similar must share `_SHARED`.

        Pieces that no benchmark question has are the rarest of all, and lead nowhere.
        """
        least = _least(num_pieces)
        num = num_pieces - least + min(_SHARED, least) - (num_pieces - len(known))
        if num <= 0:
            return []
        return sorted(known, key=lambda piece: (self._frequency[piece], piece))[:num]

    def _note(self, match: Match, items: Iterable[int]) -> None:
        self._counts[match] += 1
        self._met.update(items)


def _least(num_pieces: int) -> int:
    """How many of its pieces a text shares with any that is near."""
    return math.ceil(NEAR * num_pieces)


def _pieces(text: str) -> frozenset[str]:
    text = text[:_MAX_CHARS]
    return frozenset(
        text[start : start + _PIECE] for start in range(max(len(text) - _PIECE + 1, 1))
    )

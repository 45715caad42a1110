"""What a tokenizer makes of medical terms in a dataset, and what is cut from its entries.

Numbers for the user to read; nothing is changed. A term in many pieces is not an error: it costs
length, and a small model learns it more slowly.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from medqlora.data.medical_terms import MEDICAL_TERMS

_MANY_PIECES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TermFragments:
    """One term as the tokenizer sees it.

    Attributes:
        term: The term.
        kind: `drug`, `unit` or `abbreviation`.
        pieces: Its tokens as text, as they are in the middle of a sentence.
        count: Times it stands in the entries.
    """

    term: str
    kind: str
    pieces: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FragmentationReport:
    """How a dataset is tokenised.

    Attributes:
        num_entries: Entries looked at.
        terms: Terms that stand in the entries, those in the most pieces first.
        mean_pieces: Mean tokens a term by kind, over the terms found.
        num_shortened: Entries that are cut at their end.
        num_left_out: Entries of which no answer is left.
        num_cut_tokens: Tokens that are cut in all.
    """

    num_entries: int
    terms: tuple[TermFragments, ...]
    mean_pieces: Mapping[str, float]
    num_shortened: int
    num_left_out: int
    num_cut_tokens: int

    @property
    def sentences(self) -> tuple[str, ...]:
        """The same in words."""
        said = [
            f"A {kind} is {mean:.1f} tokens on average." for kind, mean in self.mean_pieces.items()
        ]
        worst = [one.term for one in self.terms if len(one.pieces) >= _MANY_PIECES][:5]
        if worst:
            said.append(f"In {_MANY_PIECES} pieces or more: {', '.join(worst)}.")
        said.append(
            f"{self.num_shortened} of {self.num_entries} entries are cut, {self.num_cut_tokens} "
            f"tokens in all, and {self.num_left_out} have no answer left."
        )
        return tuple(said)


@dataclass(frozen=True, slots=True)
class TermSet:
    """Terms as they are kept."""

    terms: tuple[TermFragments, ...]


class TermCounter:
    """Counts the terms of the table in texts, one text after the other."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._patterns = {kind: _pattern(kind, terms) for kind, terms in MEDICAL_TERMS.items()}
        self._spelling = {
            (kind, _folded(kind, term)): term
            for kind, terms in MEDICAL_TERMS.items()
            for term in terms
        }

    def add(self, text: str) -> None:
        """Counts the terms of one text."""
        for kind, pattern in self._patterns.items():
            self._counts.update(
                (kind, self._spelling[kind, _folded(kind, found)])
                for found in pattern.findall(text)
            )

    def terms(self, pieces_of: Callable[[str], tuple[str, ...]]) -> tuple[TermFragments, ...]:
        """The terms that were found, those in the most pieces first."""
        found = (
            TermFragments(term=term, kind=kind, pieces=pieces_of(term), count=count)
            for (kind, term), count in self._counts.items()
        )
        return tuple(sorted(found, key=lambda one: (-len(one.pieces), one.term)))


def mean_pieces(terms: Iterable[TermFragments]) -> dict[str, float]:
    """Mean tokens a term by kind, over different terms."""
    by_kind: dict[str, list[int]] = {}
    for one in terms:
        by_kind.setdefault(one.kind, []).append(len(one.pieces))
    return {kind: sum(sizes) / len(sizes) for kind, sizes in sorted(by_kind.items())}


def _pattern(kind: str, terms: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(terms, key=len, reverse=True)
    words = "|".join(re.escape(term) for term in longest_first)
    # A unit may stand right after its number; case tells CT and ct, mg and MG, apart.
    before = r"(?<![^\W\d])" if kind == "unit" else r"(?<!\w)"
    return re.compile(rf"{before}(?:{words})(?![\w/])", re.IGNORECASE if kind == "drug" else 0)


def _folded(kind: str, term: str) -> str:
    return term.lower() if kind == "drug" else term

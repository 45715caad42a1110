"""The words that the PHI screen knows, read once from `words/`, and how a word is looked up.

words/README.txt says where each list comes from and under which licence.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

WORDS = Path(__file__).parent / "words"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicons:
    """Words in folded spelling.

    Attributes:
        given: Given names by rank, 0 the most frequent.
        family: Family names by rank.
        places: Cities by rank, 0 the largest.
        regions: Countries and states, which are no PHI.
        english: Common English words that are written small.
        rarer: The other English words, many of medicine.
        facilities: Short names of hospitals.
        eponyms: Names of diseases and methods, and other capitalised words that are no person.
        eponym_nouns: What follows such a name.
        acronyms: What stands in capitals and is no place.
    """

    given: Mapping[str, int]
    family: Mapping[str, int]
    places: Mapping[str, int]
    regions: frozenset[str]
    english: frozenset[str]
    rarer: frozenset[str]
    facilities: frozenset[str]
    eponyms: frozenset[str]
    eponym_nouns: frozenset[str]
    acronyms: frozenset[str]


@cache
def lexicons() -> Lexicons:
    """The lists, read at the first call."""
    return Lexicons(
        given=_ranks("given.txt"),
        family=_ranks("family.txt"),
        places=_ranks("places.txt"),
        regions=frozenset(_lines("regions.txt")),
        english=frozenset(_lines("english.txt")),
        rarer=frozenset(_lines("rarer.txt")),
        facilities=frozenset(_lines("facilities.txt")),
        eponyms=frozenset(_words("eponyms.txt")),
        eponym_nouns=frozenset(_words("eponym_nouns.txt")),
        acronyms=frozenset(_words("acronyms.txt")),
    )


def folded(word: str) -> str:
    """Lower case without accents on Latin letters, the apostrophe straight."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", word.casefold().replace("\u2019", "'"))
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return bare if bare.isascii() else unicodedata.normalize("NFC", word.casefold())


def _ranks(file: str) -> Mapping[str, int]:
    return {word: rank for rank, word in enumerate(_lines(file))}


def _lines(file: str) -> list[str]:
    return (WORDS / file).read_text(encoding="utf-8").splitlines()


def _words(file: str) -> list[str]:
    return (WORDS / file).read_text(encoding="utf-8").split()

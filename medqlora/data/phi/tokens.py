"""A text as words with their offsets, and what the lexicons say about each word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medqlora.data.phi.lexicons import Lexicons, folded, lexicons

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_POSSESSIVE = re.compile(r"['\u2019][sS]$")
# Endings of drugs, diseases, procedures and bacteria: such a word is no name, whatever its initial.
_MEDICAL = re.compile(
    r"(?:itis|osis|oses|emia|aemia|uria|oma|omas|pathy|pathies|ectomy|otomy|ostomy|plasty|scopy|gram|graphy|logy"
    r"|mab|nib|tinib|pril|olol|sartan|statin|azole|cillin|mycin|cycline|floxacin|prazole|tidine|gliptin|gliflozin"
    r"|glutide|vir|parin|xaban|gatran|profen|caine|zepam|zolam|triptan|setron|dipine|zosin|lukast|terol|sone|solone"
    r"|ine|ate|ium|ide|ase|idae|aceae|coccus|cocci|bacter|bacillus|monas|ella|virus|phobia|phasia|plegia|paresis|trophy"
    r"|algia|rrhea|rrhoea|rrhage|penia|philia|cyte|cytes|blast|genic|genesis|lysis|stasis|therapy|ol|an|in|on|al|ic|ous)$"
)
_MEDICAL_FROM = 7
# "McDonald" and "Al-Sayed", but not "IgE" and "SpO".
_NAME_SHAPE = re.compile(
    r"(?:Mc|Mac|De|Di|Le|La|Van|Fitz|O['\u2019])?[^\W\d_](?:[^\W\d_A-Z]|['\u2019-][^\W\d_])*"
)
_RARE = 10**9
# Of given names as frequent as this only these are read as the word that they also are.
_FREQUENT = 300
_EVERYDAY = frozenset(
    [
        "mark",
        "rose",
        "grace",
        "will",
        "frank",
        "may",
        "april",
        "june",
        "faith",
        "hope",
        "joy",
        "dawn",
        "gene",
        "ray",
        "bill",
        "pat",
        "grant",
        "chase",
        "hunter",
        "jean",
        "crystal",
        "ruby",
        "amber",
        "heather",
        "holly",
        "ginger",
        "sandy",
        "misty",
        "carol",
        "dale",
        "earl",
        "norma",
        "alma",
        "marie",
    ]
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word.

    Attributes:
        start: Offset of its first character.
        end: Offset after its last, without a possessive 's.
        text: As written, without a possessive 's.
        key: The same in folded spelling, as the lexicons have it.
        is_capital: Its first letter is a capital.
        is_possessive: A possessive 's follows.
    """

    start: int
    end: int
    text: str
    key: str
    is_capital: bool
    is_possessive: bool

    @property
    def is_initial(self) -> bool:
        """One capital letter."""
        return len(self.text) == 1 and self.is_capital

    @property
    def is_acronym(self) -> bool:
        """All capitals, more than one."""
        return len(self.text) > 1 and self.text.isupper()


def tokens_of(text: str) -> list[Token]:
    """The words of a text in order."""
    found = []
    for match in _WORD.finditer(text):
        word, start = match[0], match.start()
        possessive = _POSSESSIVE.search(word)
        if possessive:
            word = word[: possessive.start()]
        found.append(
            Token(start, start + len(word), word, folded(word), word[0].isupper(), bool(possessive))
        )
    return found


class Vocabulary:
    """What the lexicons say about a word, as grades from 0, no, to 2, clearly."""

    def __init__(self, words: Lexicons | None = None) -> None:
        self.words = words or lexicons()

    def given(self, token: Token) -> int:
        """How surely it is a given name: 1 when it is an everyday word too."""
        if self.words.given.get(token.key, _RARE) < _FREQUENT and token.key not in _EVERYDAY:
            return 2
        return self._grade(token.key, self.words.given)

    def family(self, token: Token) -> int:
        """How surely it is a family name."""
        return self._grade(token.key, self.words.family)

    def _grade(self, key: str, known: Mapping[str, int]) -> int:
        parts = key.split("-") if "-" in key else (key,)
        if len(key) < 2 or not all(part in known for part in parts):
            return 0
        words = self.words
        return 1 if any(p in words.english or p in words.eponyms for p in parts) else 2

    def is_word(self, token: Token) -> bool:
        """An English word."""
        words = self.words
        parts = token.key.split("-") if "-" in token.key else (token.key,)
        return any(part in words.english or part in words.rarer for part in parts)

    def is_unknown_name(self, token: Token) -> bool:
        """Capitalised, in no list, and not like a drug or a disease: it may be a rarer name."""
        key, words = token.key, self.words
        return (
            token.is_capital
            and len(key) > 1
            and _NAME_SHAPE.fullmatch(token.text) is not None
            and not self.is_word(token)
            and key not in words.eponyms
            and key not in words.places
            and key not in words.regions
            and not (len(key) >= _MEDICAL_FROM and _MEDICAL.search(key))
        )

    def is_eponym(self, token: Token) -> bool:
        """A name by which a disease, a sign or a method is called."""
        words = self.words
        return token.key in words.eponyms or any(
            part in words.eponyms for part in token.key.split("-")
        )


def linked(text: str, left: Token, right: Token) -> bool:
    """Whether one follows the other with a space, or a full stop after an initial, between."""
    between = text[left.end : right.start]
    if left.is_possessive or len(between) > 3:
        return False
    return between in (" ", "\u00a0", "  ") or (
        between in (". ", ".", ".  ") and len(left.text) <= 2
    )


def at_sentence_start(text: str, token: Token) -> bool:
    """Whether nothing but a full stop, a line break or a bullet is before it."""
    before = text[max(0, token.start - 4) : token.start].rstrip(" \t\"'([")
    return not before or before[-1] in ".!?:\n;•-*|"


def title_cased(tokens: Sequence[Token], first: int, last: int) -> bool:
    """Whether the words around a stretch are capitalised too, as in a heading."""
    around = [*tokens[max(0, first - 3) : first], *tokens[last + 1 : last + 4]]
    long = [token for token in around if len(token.text) > 3]
    return len(long) >= 2 and all(token.is_capital for token in long)

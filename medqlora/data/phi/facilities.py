"""Hospitals, clinics and other places of care by their names.

A facility is capitalised words that end in a word for one ("Lakeside Clinic"), or a short name that
is known ("Cedars-Sinai"). A kind of clinic ("Warfarin clinic", "the outpatient clinic") is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from medqlora.data.phi.tokens import Token, Vocabulary, title_cased
from medqlora.domain.phi import PhiSpan


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words that make a facility of the name before them; the weak ones need the name of a place or
# a person there.
_HEADS = _set(
    """hospital hospitals hosp clinic clinics infirmary hospice sanatorium polyclinic healthcare
    pharmacy krankenhaus klinik klinikum universitätsklinikum uniklinik hôpital hopital clinique
    ospedale hospitalet ziekenhuis sjukhus szpital policlinico sygehus sykehus chu dispensary"""
)
WEAK_HEADS = _set(
    """center centre facility office branch site location campus practice health general memorial
    medical med medicine university college school academy prison jail presbyterian methodist
    elementary church surgery lab laboratories laboratory"""
)
_HEADS_ALONE = _set("center centre facility office branch site location campus practice")
_LONG_HEADS = (
    re.compile(
        r"(?:medical|med\.?|health|cancer|heart|surgical|surgery|care|trauma|rehab(?:ilitation)?"
        r"|dialysis|nursing|imaging|wellness|treatment|community|women['\u2019]s|children['\u2019]s"
        r"|veterans|va|birth|eye|spine|pain|regional|primary care|psychiatric|sleep)\s"
        r"(?:centers?|centres?|ctr\.?|group|associates|practice|partners|system|campus|services"
        r"|network|plaza|institute|pavilion)",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?:nursing|care|retirement|assisted living|skilled nursing)\s(?:home|facility|village"
        r"|community|residence)|assisted living|urgent care|general practice|family medicine",
        re.IGNORECASE,
    ),
)
# In many languages these stand before the name.
_FIRST_HEADS = _set(
    """hospital klinikum klinik universitätsklinikum krankenhaus hôpital hopital clinique ospedale
    policlinico ziekenhuis szpital chu"""
)
CONNECTORS = _set("of and & the for de del della di du des la le st")
_LEADING = _set(
    """the a an at in from to our this that these her his their my your any each for and of on with
    by is was are were does do did can could should will would has have had local nearby some what
    which patient patients dr called visit seen treated hospital clinic outpatient inpatient if when
    where why how national international between all most many"""
)
_GENERIC = _set(
    """hospital clinic university medical center centre health care department outpatient inpatient
    emergency surgical pediatric tertiary teaching public private primary district regional
    children's women's dental eye cancer nursing home family practice national international
    hospitals clinics healthcare pharmacy and rehabilitation rehab local secondary general community
    academic urban rural military veterans federal best city"""
)
# Generic words that, capitalised alone, are a hospital's name all the same.
_NAMES_OF_THEIR_OWN = _set("general community city county children's university")
_PREPOSITION = re.compile(
    r"\b(?:at|to|from|in|by|near|of|visited|visiting|via|left)\s(?:the\s|our\s)?$|,\s$",
    re.IGNORECASE,
)
_SHORT_FOR = _set("st mt ft ste med univ mem gen dr")
_TAIL = _set("children women new los san st medicine trust system center hospital")


def joined(text: str, left: Token, right: Token) -> bool:
    """Whether two words may belong to one name of a place."""
    gap = text[left.end : right.start]
    if gap == ". ":
        return left.key in _SHORT_FOR
    return gap in (" ", "'s ", "\u2019s ", " & ", "-", "\u2013", "' ", "\u2019 ", "/")


def place_span(text: str, words: Sequence[Token], *, score: float, reason: str) -> PhiSpan:
    """The span of a place's words, with a possessive or the full stop of a short form."""
    last = words[-1]
    end = last.end + 2 * last.is_possessive
    if last.key in ("hosp", "ctr") and text[end : end + 1] == ".":
        end += 1
    return PhiSpan(start=words[0].start, end=end, kind="location", score=score, reason=reason)


def find_facilities(text: str, tokens: Sequence[Token]) -> list[PhiSpan]:
    """The facilities that a text names."""
    return list(_Facilities(text, tokens).spans())


class _Facilities:
    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text, self.tokens = text, tokens
        self.know = Vocabulary()

    def spans(self) -> Iterator[PhiSpan]:
        for index, token in enumerate(self.tokens):
            head = self._end_of_head(index)
            first = None if head is None else self._first_word(index)
            if head is not None and first is None and self._is_before_its_name(head):
                first = index
            if head is not None and first is not None:
                words = self.tokens[first : self._tail(head) + 1]
                yield place_span(self.text, words, score=0.85, reason="a word for a facility")
            elif token.is_capital and (last := self._known(index)) is not None:
                words = self.tokens[index : last + 1]
                yield place_span(self.text, words, score=0.8, reason="a hospital's name")

    def _end_of_head(self, index: int) -> int | None:
        """Index of the last word of a word for a facility that begins here."""
        token = self.tokens[index]
        if token.key in _HEADS or token.key in _HEADS_ALONE:
            return index
        for pattern in _LONG_HEADS:
            if match := pattern.match(self.text, token.start):
                last = index
                while last + 1 < len(self.tokens) and self.tokens[last + 1].start < match.end():
                    last += 1
                return last
        return None

    def _first_word(self, head: int) -> int | None:
        """Index of the first word of the facility's name, None where it has no name."""
        first, index = head, head - 1
        while index >= 0 and head - index <= 7 and self._joined(index):
            if self.tokens[index].is_capital:
                first = index
            elif self.tokens[index].key not in CONNECTORS:
                break
            index -= 1
        while first < head and (
            self.tokens[first].key in _LEADING or not self.tokens[first].is_capital
        ):
            first += 1
        own = [token for token in self.tokens[first:head] if token.key not in CONNECTORS]
        return first if own and self._is_named(first, head, own) else None

    def _is_before_its_name(self, head: int) -> bool:
        """`Klinikum X`, `Hospital de X`: the word for a facility stands first."""
        if self.tokens[head].key not in _FIRST_HEADS or not self.tokens[head].is_capital:
            return False
        for index in range(head, min(head + 4, len(self.tokens) - 1)):
            following = self.tokens[index + 1]
            if not self._joined(index):
                return False
            if following.is_capital:
                return self._is_proper(following)
            if following.key not in CONNECTORS:
                return False
        return False

    def _is_named(self, first: int, head: int, own: Sequence[Token]) -> bool:
        know, here = self.know, self.tokens[head]
        if all(map(know.is_eponym, own)):
            return False
        if any(map(self._is_proper, own)):
            return True
        if not here.is_capital or here.key in _HEADS_ALONE:
            return False
        before = self.text[max(0, self.tokens[first].start - 20) : self.tokens[first].start]
        plain = [one for one in own if one.key not in _GENERIC]
        is_heading = not plain and title_cased(self.tokens, first, head)
        if is_heading or not _PREPOSITION.search(before):
            return False
        is_generic = not plain and own[0].key not in _NAMES_OF_THEIR_OWN
        return not is_generic and any(one.key not in know.words.acronyms for one in own)

    def _is_proper(self, token: Token) -> bool:
        """The name of a place or of a person."""
        know, key = self.know, token.key
        if key in know.words.facilities or key in know.words.places:
            return key not in know.words.acronyms
        if know.is_word(token) or know.is_eponym(token) or key in know.words.acronyms:
            return False
        if token.is_acronym:
            return len(key) > 2
        return know.family(token) == 2 or know.given(token) == 2 or know.is_unknown_name(token)

    def _joined(self, index: int) -> bool:
        return joined(self.text, self.tokens[index], self.tokens[index + 1])

    def _tail(self, last: int) -> int:
        """Takes in what follows a facility: `of Philadelphia`, `for Children`, ` Los Angeles`."""
        index = last
        while index + 1 < len(self.tokens) and index - last < 6 and self._joined(index):
            token = self.tokens[index + 1]
            if token.is_capital and not token.is_acronym and self._is_in_tail(token):
                last = index + 1
            elif token.key not in ("of", "for", "and", "the", "at"):
                break
            index += 1
        return last

    def _is_in_tail(self, token: Token) -> bool:
        return (
            token.key in self.know.words.places
            or token.key in _TAIL
            or not self.know.is_word(token)
        )

    def _known(self, index: int) -> int | None:
        """Index of the last word of a hospital's short name that begins here."""
        for length in (4, 3, 2, 1):
            last = index + length - 1
            words = self.tokens[index : last + 1]
            if len(words) < length or not all(map(self._joined, range(index, last))):
                continue
            name = self.text[words[0].start : words[-1].end].lower()
            name = name.replace("\u2019", "'").replace(". ", " ")
            possessive = name + ("'s" if words[-1].is_possessive else "")
            if not words[-1].is_capital or not {name, possessive} & self.know.words.facilities:
                continue
            return last if length > 1 or self._is_placed(index) else None
        return None

    def _is_placed(self, index: int) -> bool:
        nouns = self.know.words.eponym_nouns
        token = self.tokens[index]
        before = self.text[max(0, token.start - 20) : token.start]
        follows = any(one.key in nouns for one in self.tokens[index + 1 : index + 3])
        return bool(_PREPOSITION.search(before)) and not follows

"""Names of people: after a title or a label, in a telling context, or by the lexicons.

A run is a stretch of capitalised words that may be one name; `name_judging` says whether it is
one, `name_cues` what may stand around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from medqlora.data.phi import name_cues as cues
from medqlora.data.phi.chinese_names import find_chinese_names
from medqlora.data.phi.name_judging import (
    AROUND,
    AROUND_IT,
    FREQUENT_GIVEN,
    GIVEN_FAMILY,
    GIVEN_INITIAL,
    RARE,
    RunJudge,
)
from medqlora.data.phi.tokens import Token, linked
from medqlora.domain.phi import PhiSpan

_TITLED, _LABELLED = "a title in front", "a label in front"
_COUNTED_GIVEN = 5000
_FREQUENT_FAMILY = 500
_COUNTED_FAMILY = 30_000
_LONGEST_RUN = 6


def find_names(text: str, tokens: Sequence[Token]) -> list[PhiSpan]:
    """The names of people in a text; they may overlap each other."""
    finder = _Finder(text, tokens)
    found = [*finder.titled(), *finder.labelled(), *finder.runs(), *finder.small()]
    return [*found, *finder.repeated(found), *find_chinese_names(text)]


class _Finder(RunJudge):
    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        super().__init__(text, tokens)
        self.at = {token.start: index for index, token in enumerate(tokens)}

    def titled(self) -> Iterator[PhiSpan]:
        """`Dr. X`, `Mrs X Y`, `Herr X`; in small letters only what is hardly a word."""
        for match in cues.TITLE.finditer(self.text):
            first = self.at.get(match.end())
            if first is None:
                continue
            token, title = self.tokens[first], match["title"].strip()
            if token.key in cues.NOT_A_NAME_AFTER_TITLE and not (
                token.is_initial and token.text not in "IXYZ"
            ):
                continue
            if token.is_capital and self._fits_title(token, title):
                yield self._span(match.start("title"), self._end_of_run(first), 0.95, _TITLED)
            elif not token.is_capital and self._is_small_name(token, title):
                yield self._span(match.start("title"), first, 0.9, _TITLED)

    def _fits_title(self, token: Token, title: str) -> bool:
        know = self.know
        if title in ("MR", "MS", "SR", "FR", "HR", "LT"):
            return not know.is_word(token) and bool(know.given(token) or know.family(token))
        if title[0].islower() and title in cues.SMALL_WORDS:
            return bool(know.given(token) or know.family(token)) and not know.is_word(token)
        is_name = bool(know.family(token) or know.given(token))
        return token.is_initial or is_name or not know.is_word(token)

    def _is_small_name(self, token: Token, title: str) -> bool:
        if title[0].isupper() or title in cues.SMALL_WORDS or len(token.key) < 2:
            return False
        frequent = self.know.words.family.get(token.key, RARE) < _FREQUENT_FAMILY
        return frequent or not self.know.is_word(token) or self.know.given(token) == 2

    def labelled(self) -> Iterator[PhiSpan]:
        """What follows `Name:`, `Patient:`, `Signed by:` and such."""
        for match in cues.NAME_LABEL.finditer(self.text):
            first = self.at.get(match.end())
            if first is None or self._is_plain(self.tokens[first]):
                continue
            last = self._end_of_run(first, comma=True, small=not self.tokens[first].is_capital)
            yield self._span(self.tokens[first].start, last, 0.9, _LABELLED)
        for match in cues.ROLE_LABEL.finditer(self.text):
            first = self.at.get(match.end())
            if first is None or not self.tokens[first].is_capital:
                continue
            last = self._end_of_run(first, comma=True)
            run = self.tokens[first : last + 1]
            if self._is_likely(run):
                yield self._span(run[0].start, last, 0.8, _LABELLED)

    def _is_plain(self, token: Token) -> bool:
        know = self.know
        return know.is_word(token) and not (know.given(token) or know.family(token))

    def _is_likely(self, run: Sequence[Token]) -> bool:
        """Whether a run has the look of a name, without anything around it."""
        know = self.know
        if any(self._is_plain(one) for one in run) or know.is_eponym(run[0]):
            return False
        known = [one for one in run if know.given(one) == 2 or know.family(one) == 2]
        return len(run) > 1 and bool(known) and not know.words.acronyms & {r.key for r in run}

    def runs(self) -> Iterator[PhiSpan]:
        """Capitalised words that the lexicons or the words around them show to be a name."""
        index = 0
        while index < len(self.tokens):
            token = self.tokens[index]
            last = self._end_of_run(index) if self._may_begin(token) else index
            judged = self.judged(index, last) if self._may_begin(token) else None
            if judged:
                yield self._span(token.start, last, *judged)
                index = last
            index += 1

    def _may_begin(self, token: Token) -> bool:
        know = self.know
        return token.is_capital and (
            token.is_initial
            or bool(know.given(token))
            or know.family(token) == 2
            or know.is_unknown_name(token)
        )

    def _end_of_run(self, first: int, *, comma: bool = False, small: bool = False) -> int:
        """Index of the last word of the name that begins at `first`."""
        last = index = first
        while index + 1 < len(self.tokens) and index + 1 < first + _LONGEST_RUN:
            here, following = self.tokens[index], self.tokens[index + 1]
            between = self.text[here.end : following.start]
            if not linked(self.text, here, following) and not (
                comma and index == first and between in (", ", ",")
            ):
                break
            index += 1
            if following.key in cues.PARTICLES and not following.is_capital:
                continue
            if following.key not in cues.SUFFIXES and not self._continues(following, small):
                break
            last = index
        return last

    def _continues(self, token: Token, small: bool) -> bool:
        know = self.know
        if not token.is_capital:
            return small and not know.is_word(token)
        if token.is_initial:
            after = self.text[token.end : token.end + 2]
            return not after[:1].isdigit() and not (after[:1] == "-" and after[1:].isalpha())
        if token.key in cues.NO_NAME or (token.is_acronym and token.key in know.words.acronyms):
            return False
        if know.given(token) or know.family(token):
            return not know.is_word(token) or token.key not in know.words.eponym_nouns
        return not know.is_word(token) and token.key not in know.words.eponyms

    def small(self) -> Iterator[PhiSpan]:
        """A given and a family name in small letters, both frequent and no English words."""
        words, know = self.know.words, self.know
        for index, (one, two) in enumerate(zip(self.tokens, self.tokens[1:], strict=False)):
            rank = words.given.get(one.key, RARE)
            if one.is_capital or rank == RARE or not linked(self.text, one, two):
                continue
            before = self.text[max(0, one.start - AROUND) : one.start]
            is_named = bool(cues.STRONG_BEFORE.search(before))
            if rank >= _COUNTED_GIVEN and not cues.CALLED_BEFORE.search(before):
                continue
            if know.given(one) < 2 or len(one.key) < 3:
                continue
            counted = words.family.get(two.key, RARE) < _COUNTED_FAMILY and len(two.key) > 2
            if counted and (know.family(two) == 2 or (is_named and know.family(two))):
                yield self._span(one.start, index + 1, 0.6, GIVEN_FAMILY)
            elif is_named and len(two.key) == 1 and two.key not in "ai":
                yield self._span(one.start, index + 1, 0.6, GIVEN_INITIAL)
            elif is_named and rank < FREQUENT_GIVEN and one.key not in words.places:
                yield self._span(one.start, index, 0.5, AROUND_IT)

    def repeated(self, found: Sequence[PhiSpan]) -> Iterator[PhiSpan]:
        """A word of a name that was found, where it stands alone elsewhere in the text."""
        sure = [span for span in found if span.score >= 0.7]
        keys = {
            token.key
            for span in sure
            for token in self.tokens
            if span.start <= token.start < span.end
            and len(token.key) > 2
            and not self.know.is_word(token)
            and not self.know.is_eponym(token)
        }
        for index, token in enumerate(self.tokens if keys else ()):
            if token.is_capital and token.key in keys and not self.is_called_after(index):
                yield self._span(token.start, index, 0.5, "a name that stands elsewhere too")

    def _span(self, start: int, last: int, score: float, reason: str) -> PhiSpan:
        end = self.tokens[last].end
        if self.tokens[last].is_initial and self.text[end : end + 1] == ".":
            end += 1
        return PhiSpan(start=start, end=end, kind="name", score=score, reason=reason)

"""Names of people: after a title or a label, in a telling context, or by the lexicons.

A run is a stretch of capitalised words that may be one name. What stands around it and which
lists its words are in decide; a name of a disease, a method or a place is none. `name_cues` says
what may stand around a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from medqlora.data.phi import name_cues as cues
from medqlora.data.phi.tokens import Token, Vocabulary, at_sentence_start, linked, title_cased
from medqlora.domain.phi import PhiSpan

_FREQUENT_GIVEN = 2500
_COUNTED_GIVEN = 5000
_FREQUENT_FAMILY = 500
_COUNTED_FAMILY = 30_000
_RARE = 10**9
_LONGEST_RUN = 6
_AROUND = 40
_CHINESE_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常"
)  # fmt: skip
_CHINESE = re.compile(
    rf"(?:姓名|患者姓名|病人姓名|名字)\s?[:：]?\s?(?P<a>[\u4e00-\u9fff]{{2,4}})"
    rf"|(?P<b>[{_CHINESE_SURNAMES}](?:[\u4e00-\u9fff]{{1,2}}|某某?)?)(?=先生|女士|小姐|教授|主任|大夫)"
    rf"|(?:我叫|患者|病人|我是)(?P<c>[{_CHINESE_SURNAMES}][\u4e00-\u9fff]{{1,2}})(?=[，,。、\s（(]|男|女)"
    rf"|(?P<d>[{_CHINESE_SURNAMES}])(?=医生|医师)"
)


class _Around(NamedTuple):
    """A run of words and the text on both sides."""

    first: int
    last: int
    before: str
    after: str
    is_named: bool


def find_names(text: str, tokens: Sequence[Token]) -> list[PhiSpan]:
    """The names of people in a text; they may overlap each other."""
    finder = _Finder(text, tokens)
    found = [*finder.titled(), *finder.labelled(), *finder.runs(), *finder.small()]
    return [*found, *finder.repeated(found), *_chinese(text)]


def _chinese(text: str) -> Iterator[PhiSpan]:
    for match in _CHINESE.finditer(text) if not text.isascii() else ():
        start, end = next(match.span(one) for one in "abcd" if match[one])
        yield PhiSpan(start=start, end=end, kind="name", score=0.7, reason="what stands around it")


class _Finder:
    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text, self.tokens = text, tokens
        self.know = Vocabulary()
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
        frequent = self.know.words.family.get(token.key, _RARE) < _FREQUENT_FAMILY
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
            judged = self._judged(index, last) if self._may_begin(token) else None
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

    def _judged(self, first: int, last: int) -> tuple[float, str] | None:
        """Score and reason of a run, None where it is no name."""
        run = self.tokens[first : last + 1]
        before = self.text[max(0, run[0].start - _AROUND) : run[0].start]
        after = self.text[run[-1].end : run[-1].end + _AROUND]
        has_after = bool(cues.AFTER.match(after.lstrip(".")))
        around = _Around(
            first, last, before, after, has_after or bool(cues.STRONG_BEFORE.search(before))
        )
        if self._is_called_after(last) and not has_after:
            return None
        if len(run) == 1:
            return self._judged_alone(around)
        if all(one.is_acronym or one.is_initial for one in run) and not self._shouts(run):
            return None
        if all(one.is_initial for one in run[1:]):
            return self._judged_with_initial(around)
        return self._judged_by_given(around) or self._judged_by_rest(around)

    def _judged_by_given(self, around: _Around) -> tuple[float, str] | None:
        know, run = self.know, self.tokens[around.first : around.last + 1]
        given, rest = know.given(run[0]), run[1:]
        family = max(know.family(one) for one in rest)
        if not given or (all(map(know.is_eponym, run)) and not around.is_named):
            return None
        unknown = any(map(know.is_unknown_name, rest))
        if given == 2:
            return (0.9 if family == 2 else 0.75, _GIVEN_FAMILY) if family or unknown else None
        starts = at_sentence_start(self.text, run[0]) and not around.is_named
        if family == 2 or (unknown and not starts):
            return 0.7, _GIVEN_FAMILY
        heading = title_cased(self.tokens, around.first, around.last)
        if family and (around.is_named or not (heading or starts)):
            return 0.6, _GIVEN_FAMILY
        return None

    def _judged_by_rest(self, around: _Around) -> tuple[float, str] | None:
        know, run = self.know, self.tokens[around.first : around.last + 1]
        heading = title_cased(self.tokens, around.first, around.last)
        if around.is_named and not heading and any(map(know.is_unknown_name, run)):
            return 0.7, _AROUND_IT
        has_family = max(know.family(one) for one in run[1:]) == 2
        if run[0].is_initial and has_family and cues.CUE_BEFORE.search(around.before):
            return 0.7, "an initial with a family name"
        if has_family and know.is_unknown_name(run[0]) and not any(map(know.is_eponym, run)):
            return None if heading else (0.55, "a family name")
        return None

    def _judged_with_initial(self, around: _Around) -> tuple[float, str] | None:
        know, head, after = self.know, self.tokens[around.first], around.after
        is_dotted = after[:1] == "."
        is_cued = around.is_named or bool(cues.CUE_BEFORE.search(around.before))
        ends = not after or after[0] in ".,;:)?!\n" or cues.GOES_ON.match(after)
        if head.is_initial or not ends or head.is_acronym:
            return None
        given = know.given(head)
        if given == 2 and (is_dotted or is_cued):
            return 0.85, _GIVEN_INITIAL
        if given == 1 and (around.is_named or (is_dotted and is_cued)):
            return 0.7, _GIVEN_INITIAL
        if around.is_named and is_dotted and (know.is_unknown_name(head) or know.family(head)):
            return 0.7, "a name with an initial"
        if is_cued and is_dotted and know.family(head) == 2 and not know.is_eponym(head):
            return 0.55, "a family name with an initial"
        return None

    def _judged_alone(self, around: _Around) -> tuple[float, str] | None:
        token, know = self.tokens[around.first], self.know
        if token.is_initial or token.is_acronym or token.key in know.words.regions:
            return None
        is_place = token.key in know.words.places
        is_frequent = know.words.given.get(token.key, _RARE) < _FREQUENT_GIVEN
        is_known = know.given(token) == 2 or know.family(token) == 2
        if around.is_named and (is_known or cues.CALLED_BEFORE.search(around.before)):
            fits = is_known or know.is_unknown_name(token)
            if fits and (is_frequent or not (know.is_eponym(token) or is_place)):
                return 0.7, _AROUND_IT
        if know.given(token) != 2 or not is_frequent or is_place:
            return None
        if token.is_possessive:
            return None if cues.SAINT_BEFORE.search(around.before) else (0.5, "a given name")
        if cues.VERB_AFTER.match(around.after) or cues.GREETING_BEFORE.search(around.before):
            return 0.55, "a given name"
        return None

    def _is_called_after(self, last: int) -> bool:
        """Whether a disease, sign or method follows, so that the name is part of its name."""
        nouns = self.know.words.eponym_nouns
        here = self.tokens[last]
        for token in self.tokens[last + 1 : last + 4]:
            gap = self.text[here.end : token.start]
            if gap not in (" ", "-", "'s ", "\u2019s ", "\u2019 ", "' ", "  "):
                return False
            if token.key in nouns or token.key.rsplit("-", 1)[-1] in nouns:
                return True
            if not (token.is_capital or self.know.is_word(token)) or token.key in cues.STOPS:
                return False
            here = token
        return False

    def _shouts(self, run: Sequence[Token]) -> bool:
        """A name in capitals that the lists know."""
        names = [one for one in run if not one.is_initial]
        return len(names) > 1 and (
            self.know.given(names[0]) == 2 and any(self.know.family(one) for one in names[1:])
        )

    def small(self) -> Iterator[PhiSpan]:
        """A given and a family name in small letters, both frequent and no English words."""
        words, know = self.know.words, self.know
        for index, (one, two) in enumerate(zip(self.tokens, self.tokens[1:], strict=False)):
            rank = words.given.get(one.key, _RARE)
            if one.is_capital or rank == _RARE or not linked(self.text, one, two):
                continue
            before = self.text[max(0, one.start - _AROUND) : one.start]
            is_named = bool(cues.STRONG_BEFORE.search(before))
            if rank >= _COUNTED_GIVEN and not cues.CALLED_BEFORE.search(before):
                continue
            if know.given(one) < 2 or len(one.key) < 3:
                continue
            counted = words.family.get(two.key, _RARE) < _COUNTED_FAMILY and len(two.key) > 2
            if counted and (know.family(two) == 2 or (is_named and know.family(two))):
                yield self._span(one.start, index + 1, 0.6, _GIVEN_FAMILY)
            elif is_named and len(two.key) == 1 and two.key not in "ai":
                yield self._span(one.start, index + 1, 0.6, _GIVEN_INITIAL)
            elif is_named and rank < _FREQUENT_GIVEN and one.key not in words.places:
                yield self._span(one.start, index, 0.5, _AROUND_IT)

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
            if token.is_capital and token.key in keys and not self._is_called_after(index):
                yield self._span(token.start, index, 0.5, "a name that stands elsewhere too")

    def _span(self, start: int, last: int, score: float, reason: str) -> PhiSpan:
        end = self.tokens[last].end
        if self.tokens[last].is_initial and self.text[end : end + 1] == ".":
            end += 1
        return PhiSpan(start=start, end=end, kind="name", score=score, reason=reason)


_TITLED, _LABELLED, _AROUND_IT = "a title in front", "a label in front", "what stands around it"
_GIVEN_FAMILY, _GIVEN_INITIAL = "a given name with a family name", "a given name with an initial"

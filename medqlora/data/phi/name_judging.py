"""Whether a run of capitalised words is somebody's name, and how surely.

What stands around it and which lists its words are in decide; a name of a disease or a method is
none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from medqlora.data.phi import name_cues as cues
from medqlora.data.phi.tokens import Token, Vocabulary, at_sentence_start, title_cased

FREQUENT_GIVEN = 2500
RARE = 10**9
AROUND = 40
AROUND_IT = "what stands around it"
GIVEN_FAMILY = "a given name with a family name"
GIVEN_INITIAL = "a given name with an initial"


class _Around(NamedTuple):
    """A run of words and the text on both sides."""

    first: int
    last: int
    before: str
    after: str
    is_named: bool


class RunJudge:
    """Judges the runs of one text."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text, self.tokens = text, tokens
        self.know = Vocabulary()

    def judged(self, first: int, last: int) -> tuple[float, str] | None:
        """Score and reason of a run, None where it is no name."""
        run = self.tokens[first : last + 1]
        before = self.text[max(0, run[0].start - AROUND) : run[0].start]
        after = self.text[run[-1].end : run[-1].end + AROUND]
        has_after = bool(cues.AFTER.match(after.lstrip(".")))
        around = _Around(
            first, last, before, after, has_after or bool(cues.STRONG_BEFORE.search(before))
        )
        if self.is_called_after(last) and not has_after:
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
            return (0.9 if family == 2 else 0.75, GIVEN_FAMILY) if family or unknown else None
        starts = at_sentence_start(self.text, run[0]) and not around.is_named
        if family == 2 or (unknown and not starts):
            return 0.7, GIVEN_FAMILY
        heading = title_cased(self.tokens, around.first, around.last)
        if family and (around.is_named or not (heading or starts)):
            return 0.6, GIVEN_FAMILY
        return None

    def _judged_by_rest(self, around: _Around) -> tuple[float, str] | None:
        know, run = self.know, self.tokens[around.first : around.last + 1]
        heading = title_cased(self.tokens, around.first, around.last)
        if around.is_named and not heading and any(map(know.is_unknown_name, run)):
            return 0.7, AROUND_IT
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
            return 0.85, GIVEN_INITIAL
        if given == 1 and (around.is_named or (is_dotted and is_cued)):
            return 0.7, GIVEN_INITIAL
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
        is_frequent = know.words.given.get(token.key, RARE) < FREQUENT_GIVEN
        is_known = know.given(token) == 2 or know.family(token) == 2
        if around.is_named and (is_known or cues.CALLED_BEFORE.search(around.before)):
            fits = is_known or know.is_unknown_name(token)
            if fits and (is_frequent or not (know.is_eponym(token) or is_place)):
                return 0.7, AROUND_IT
        if know.given(token) != 2 or not is_frequent or is_place:
            return None
        if token.is_possessive:
            return None if cues.SAINT_BEFORE.search(around.before) else (0.5, "a given name")
        if cues.VERB_AFTER.match(around.after) or cues.GREETING_BEFORE.search(around.before):
            return 0.55, "a given name"
        return None

    def is_called_after(self, last: int) -> bool:
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

"""Places below a state: addresses, facilities, what somebody was seen at, and cities."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from medqlora.data.phi.addresses import PLACE_RULES, STATE_NAMES, STATES
from medqlora.data.phi.facilities import (
    CONNECTORS,
    WEAK_HEADS,
    find_facilities,
    joined,
    place_span,
)
from medqlora.data.phi.rule import matches
from medqlora.data.phi.tokens import Token, Vocabulary
from medqlora.domain.phi import PhiSpan

_RARE = 10**9
_LARGE_CITIES = 3000
_FREQUENT_GIVEN = 400
_VISIT = "|".join(
    [
        "seen",
        "treated",
        "admitted",
        "evaluated",
        "examined",
        "hospitali[sz]ed",
        "operated",
        "diagnosed",
        "visit(?:ed|s|ing)?",
        "referred",
        "transferred",
        "discharged",
        "presented",
        "presenting",
        "followed",
        "follow-?up",
        "f/u",
        "surgery",
        "appt",
        "appointment",
        "dialysis",
        "born",
        "lives",
        "living",
        "lived",
        "resides",
        "residing",
        "resident",
        "works",
        "working",
        "worked",
        "employed",
        "consult(?:ed|ation)?",
        "care",
        "registered",
        "enrolled",
        "monitored",
        "managed",
        "cared",
        "procedure",
        "performed",
        "underwent",
        "delivered",
        "attending",
        "attends",
        "rehab",
        "therapy",
        "chemo(?:therapy)?",
        "scheduled",
        "patient",
        "records?",
        "done",
        "placed",
        "received",
        "receiving",
        "checked",
        "clinic",
        "scan",
        "mri",
        "ct",
        "biopsy",
        "stay",
        "implanted",
        "inserted",
        "is",
        "was",
        "being",
        "originally",
        "moved",
        "relocated",
        "grew",
        "transplant",
        "screened",
        "assessed",
        "reviewed",
        "tested",
        "imaging",
    ]
)
_UP = r"[A-Z\u00c0-\u00de\u0100-\u017f]"
_AT = re.compile(rf"\b(?P<prep>at|to|from|in|near)\s(?:the\s|our\s)?(?=(?P<first>{_UP}))")
_VISITED = re.compile(rf"\b(?:{_VISIT})\b[^.;:!?\n]{{0,60}}$", re.IGNORECASE)
_SENT = re.compile(
    r"\b(?:admitted|transferred|discharged|referred|brought|sent|presented|returned|went|airlifted"
    r"|moved)\b[^.;:!?\n]{0,25}$",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(
    r"(?:\b(?:in|from|of|near|at|to|around|outside|via|visiting|leaving|downtown|suburban|our)|,)"
    r"\s(?:the\s|downtown\s|greater\s)?$",
    re.IGNORECASE,
)
_STATE_FOLLOWS = re.compile(rf"^,?\s(?:{STATES}|{STATE_NAMES})\b")
_LIVES = re.compile(
    r"(?:\b(?:lives?|living|lived|resid(?:es|ing|ent)|moved|born|based|works?|working|from|grew up"
    r"|travel(?:led|ed|s)?|relocated)\b[^.;:\n]{0,20}\b(?:in|from|to|near|at|of)|\bfrom)\s$",
    re.IGNORECASE,
)
_ENDS = frozenset(
    [
        "on",
        "for",
        "with",
        "due",
        "after",
        "since",
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "mrn",
        "id",
        "dob",
        "phone",
        "stage",
        "type",
        "day",
        "week",
        "year",
        "level",
        "risk",
    ]
)


def find_places(text: str, tokens: Sequence[Token]) -> list[PhiSpan]:
    """The places of a text; they may overlap each other."""
    finder = _Finder(text, tokens)
    shaped = [span for rule in PLACE_RULES for span in matches(rule, text)]
    return [*shaped, *find_facilities(text, tokens), *finder.visited(), *finder.cities()]


class _Finder:
    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text, self.tokens = text, tokens
        self.know = Vocabulary()
        self.at = {token.start: index for index, token in enumerate(tokens)}

    def visited(self) -> Iterator[PhiSpan]:
        """What somebody was seen at, was sent to, comes from."""
        for match in _AT.finditer(self.text):
            first = self.at.get(match.start("first"))
            if first is None:
                continue
            before = self.text[max(0, match.start() - 70) : match.start()]
            surely = match["prep"] in ("at", "near") or bool(_SENT.search(before))
            if surely or _VISITED.search(before):
                last = self._end_of_place(first)
                if self._is_place(first, last, surely=surely):
                    words = self.tokens[first : last + 1]
                    yield place_span(self.text, words, score=0.65, reason="a visit to it")

    def _joined(self, index: int) -> bool:
        return joined(self.text, self.tokens[index], self.tokens[index + 1])

    def _end_of_place(self, first: int) -> int:
        last = index = first
        while index + 1 < len(self.tokens) and index - first < 5 and self._joined(index):
            following = self.tokens[index + 1]
            if following.is_capital and following.key not in _ENDS:
                last = index + 1
            elif following.key not in ("of", "and", "the"):
                break
            index += 1
        return last

    def _is_place(self, first: int, last: int, *, surely: bool) -> bool:
        know, run = self.know, self.tokens[first : last + 1]
        if run[0].key in ("st", "saint", "mt", "mount") and len(run) > 1:
            return True
        names = [one for one in run if one.key not in CONNECTORS]
        hollow = know.words.acronyms | know.words.regions
        if not names or all(one.key in hollow or one.is_initial for one in names):
            return False
        if " ".join(one.key for one in names) in know.words.regions:
            return False
        if self._is_called_after(last) or self._is_called_after(first):
            return False
        if len(names) == 1 and names[0].is_acronym:
            after = self.text[run[-1].end : run[-1].end + 1]
            return surely and len(names[0].text) > 2 and not after.isdigit()
        if len(names) == 1 and (know.is_eponym(names[0]) or names[0].key in _ENDS):
            return False
        is_institution = len(names) > 1 and any(one.key in WEAK_HEADS for one in names)
        if surely:
            return is_institution or not all(map(know.is_word, names))
        return is_institution or any(
            one.key in know.words.places or one.key in know.words.facilities for one in names
        )

    def _is_called_after(self, last: int) -> bool:
        nouns = self.know.words.eponym_nouns
        return any(one.key in nouns for one in self.tokens[last + 1 : last + 3])

    def cities(self) -> Iterator[PhiSpan]:
        """Cities of the gazetteer after a preposition or before a state."""
        index = 0
        while index < len(self.tokens):
            is_capital = self.tokens[index].is_capital
            last = self._city(index) if is_capital else self._small_city(index)
            if last is not None:
                words = self.tokens[index : last + 1]
                yield place_span(self.text, words, score=0.6, reason="the name of a city")
                index = last
            index += 1

    def _city(self, first: int) -> int | None:
        for length in (4, 3, 2, 1):
            last = first + length - 1
            words = self.tokens[first : last + 1]
            if len(words) < length or not all(map(self._joined, range(first, last))):
                continue
            rank = self.know.words.places.get(" ".join(one.key for one in words))
            if rank is not None and self._is_city(first, last, rank):
                return last
        return None

    def _is_city(self, first: int, last: int, rank: int) -> bool:
        token = self.tokens[first]
        if token.is_acronym and first == last and token.key not in ("nyc", "la"):
            return False
        if self._is_called_after(last) or self.know.is_eponym(token):
            return False
        end = self.tokens[last].end
        if _STATE_FOLLOWS.match(self.text[end : end + 24]):
            return True
        before = self.text[max(0, token.start - 60) : token.start]
        if _LIVES.search(before):
            return True
        is_given = self.know.words.given.get(token.key, _RARE) < _FREQUENT_GIVEN
        if rank >= _LARGE_CITIES or (is_given and first == last):
            return False
        return bool(_PREPOSITION.search(before)) and not before.endswith("plaster of ")

    def _small_city(self, first: int) -> int | None:
        """In small letters a city is taken only after words that say where somebody lives."""
        tokens = self.tokens
        if first == 0 or tokens[first - 1].key not in ("in", "from", "near"):
            return None
        for last in (first + 2, first + 1, first):
            name = " ".join(one.key for one in tokens[first : last + 1])
            if last < len(tokens) and self.know.words.places.get(name, _RARE) < _LARGE_CITIES:
                before = self.text[max(0, tokens[first].start - 60) : tokens[first].start]
                if _LIVES.search(before) and not self.know.is_word(tokens[first]):
                    return last
        return None

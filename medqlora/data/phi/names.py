"""Names of people: after a title or a label, in a telling context, or by the lexicons.

A run is a stretch of capitalised words that may be one name. What stands around it and which
lists its words are in decide; a name of a disease, a method or a place is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from medqlora.data.phi.tokens import Token, Vocabulary, at_sentence_start, linked, title_cased
from medqlora.domain.phi import PhiSpan

PARTICLES = frozenset(
    [
        "de",
        "da",
        "dos",
        "das",
        "do",
        "del",
        "della",
        "di",
        "du",
        "la",
        "le",
        "van",
        "von",
        "der",
        "den",
        "ter",
        "ten",
        "el",
        "al",
        "bin",
        "ibn",
        "binti",
        "bint",
        "abu",
        "ben",
        "bar",
        "st",
        "mac",
        "af",
        "zu",
        "y",
        "e",
        "san",
        "santa",
        "dela",
    ]
)
_SUFFIXES = frozenset(["jr", "sr", "ii", "iii", "iv"])
_TITLES = (
    r"mr|mrs|ms|miss|mx|dr|drs|doctor|prof|professor|sir|madam|nurse|rev|reverend|pastor|rabbi|imam|fr|sr|sra|srta"
    r"|señora?|señorita|don|doña|herr|frau|hr|fr|mme|mlle|monsieur|madame|mademoiselle|dott|dottoressa|sig|signora?"
    r"|sgt|lt|capt|captain|col|maj|officer|judge|dra?|pan|pani|mevr|mevrouw|dhr|meneer|shri|smt"
)
_TITLE = re.compile(
    rf"(?<![\w.-])(?P<title>(?:(?:{_TITLES})(?:\.(?!\w\.)\s{{0,2}}|\s)(?:(?:med|dr|prof|dent)\b\.?\s?){{0,2}}))(?=\w)",
    re.IGNORECASE,
)
_PEOPLE = (
    r"male|female|man|woman|boy|girl|gentleman|lady|patient|pt|pts?|child|infant|baby|newborn|toddler|teen(?:ager)?|adolescent"
    r"|veteran|yo|y/o|y\.o|old|m|f|resident|client|subject|case|nurse|physician|surgeon|provider|therapist|pharmacist|mother|father"
    r"|son|daughter|wife|husband|partner|brother|sister|uncle|aunt|cousin|friend|spouse|grandmother|grandfather|grandson|niece"
    r"|granddaughter|nephew|neighbou?r|mom|mum|dad|boyfriend|girlfriend|fianc[ée]e?|caregiver|colleague|twin|patiente?|paciente|patientin|paziente"
)
_CUE_BEFORE = re.compile(
    rf"(?:\b(?:named|called|name'?s|name\sis|name\swas|i\sam|i'm|this\sis|signed|dictated|transcribed|known\sas|llamad[oa]|nomm[ée]e?|namens)\s"
    rf"|\b(?:{_PEOPLE})(?:,|:|\s-|\s\(|\s\u2013)?\s|\b(?:by|notes?\sfor|for|like|with|to|from|and|per|re|regarding|about|case\sof|review\sof|of|referencing|see|hi|hello|dear|thanks|regards|sincerely|cheers),?\s"
    r"|[(,;:\u2013-]\s?)$",
    re.IGNORECASE,
)
_STRONG_BEFORE = re.compile(
    r"(?:\b(?:named|called|name'?s|name\sis|name\swas|signed\sby|dictated\sby|transcribed\sby|known\sas|llamad[oa]|nomm[ée]e?|namens)\s"
    rf"|\b(?:{_PEOPLE})\.?(?:,|:|\s-|\s\(|\s\u2013)?\s)$",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"(?<![\w-])(?:(?:patient|pt|client|subject|full|first|last|family|given|maiden|mother|father|emergency\scontact|contact|next\sof\skin|nok|guarantor|provider|physician|doctor"
    r"|attending(?:\sphysician)?|surgeon|referring(?:\s(?:physician|provider|doctor))?|pcp|ordering\sprovider|nurse|author|dictated\sby|signed(?:\sby)?|electronically\ssigned\sby"
    r"|reviewed\sby|transcribed\sby|seen\sby|cc|surname|forename|name|nombre|apellidos?|paciente|nom|pr[ée]nom|vorname|nachname|patientin|paziente|cognome|nome|naam|hausarzt|arzt|m[ée]decin|m[ée]dico)"
    r"(?:['\u2019]s)?(?:\s(?:name|der patientin|des patienten|del paciente|du patient))?)\s?[:=]\s{0,3}(?=\w)",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"^(?:,?\s(?:(?:is|was)\s)?(?:an?\s)?(?:age\s|aged\s)?\d{1,3}[\s-]?(?:y|M\b|F\b|year|mo|week|day)"
    r"|,?\s(?:is|was)\san?\s(?:\d|\w{1,12}-year|pleasant|very)|,?\s?\(?(?:MRN|DOB|D\.O\.B|SSN|ID\b|M\.R\.N|MR#|phone|DoB|dob|mrn)"
    r"|,\s?(?:M\.?D|R\.?N|N\.?P|P\.?A(?:-C)?|D\.?O|Ph\.?D|MBBS|FRCP|DDS|DPM|LCSW|PharmD|PT|DPT|CRNP|APRN|LPN)\b"
    r"|,?\s\d{1,2}[MF]\b|,?\s(?:aged?|age)\s\d)"
)
_VERB_AFTER = re.compile(
    r"^,?\s(?:is|was|has|had|presented|presents|reports|reported|denies|complains|complained|came|arrived|who|went|underwent"
    r"|lives|lived|called|says|said|told|asked|feels|started|wants|needs|takes|took|states|stated|got|appears|seems|tolerated|will)\b"
)
_GOES_ON = re.compile(
    r"^(?:['\u2019]s\b|\s(?:seen|who|at|is|was|has|had|with|w/|for|on|from|in|and|presented|reports|came)\b)"
)
_NOT_A_NAME_AFTER_TITLE = frozenset(
    [
        "said",
        "says",
        "told",
        "and",
        "or",
        "the",
        "to",
        "is",
        "was",
        "who",
        "has",
        "had",
        "appointment",
        "office",
        "visit",
        "prescribed",
        "gave",
        "if",
        "when",
        "about",
        "for",
        "in",
        "on",
        "at",
        "wants",
        "put",
        "would",
        "will",
        "not",
        "does",
        "did",
        "just",
        "can",
        "could",
        "should",
        "please",
        "thank",
        "thanks",
        "of",
        "with",
        "as",
        "a",
        "an",
        "i",
        "my",
        "so",
        "but",
    ]
)
_MOST_FREQUENT_GIVEN = 2500
_MOST_FREQUENT_FAMILY = 1500
_LONGEST_RUN = 6


def find_names(text: str, tokens: Sequence[Token]) -> list[PhiSpan]:
    """The names of people in a text; they may overlap each other."""
    finder = _Finder(text, tokens)
    return [*finder.titled(), *finder.labelled(), *finder.runs(), *finder.small()]


class _Finder:
    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text, self.tokens = text, tokens
        self.know = Vocabulary()
        self.at = {token.start: index for index, token in enumerate(tokens)}

    def titled(self) -> Iterator[PhiSpan]:
        """`Dr. X`, `Mrs X Y`, `Herr X`; in small letters only what is no English word."""
        for match in _TITLE.finditer(self.text):
            first = self.at.get(match.end())
            if first is None:
                continue
            token = self.tokens[first]
            if token.is_capital and self._fits_title(token, match["title"]):
                last = self._end_of_run(first, strict=False)
            elif not token.is_capital and match["title"].strip(". ").lower() not in _SMALL_WORDS:
                if not self._is_small_name(token):
                    continue
                last = first
            else:
                continue
            yield self._span(match.start("title"), last, 0.95, "a title in front")

    def _fits_title(self, token: Token, title: str) -> bool:
        if token.key in _NOT_A_NAME_AFTER_TITLE and not token.is_initial:
            return False
        if title[0].islower() and "." not in title and title.strip() in _SMALL_WORDS:
            return False
        words = self.know
        return (
            token.is_initial
            or not words.is_word(token)
            or bool(words.family(token) or words.given(token))
        )

    def _is_small_name(self, token: Token) -> bool:
        rank = self.know.words.family.get(token.key, 10**9)
        given = self.know.given(token)
        if token.key in _NOT_A_NAME_AFTER_TITLE or len(token.key) < 2:
            return False
        return not self.know.is_word(token) or rank < _MOST_FREQUENT_FAMILY // 3 or given == 2

    def labelled(self) -> Iterator[PhiSpan]:
        """What follows `Name:`, `Patient:`, `Signed by:` and such."""
        for match in _LABEL.finditer(self.text):
            first = self.at.get(match.end())
            if first is None:
                continue
            token = self.tokens[first]
            if not token.is_capital and not (
                "name" in match[0].lower() and not self.know.is_word(token)
            ):
                continue
            last = self._end_of_run(first, strict=True, comma=True, small=not token.is_capital)
            names = self.tokens[first : last + 1]
            if any(not self.know.is_word(one) or self.know.family(one) for one in names) and any(
                len(one.key) > 1 for one in names
            ):
                yield self._span(token.start, last, 0.9, "a label in front")

    def runs(self) -> Iterator[PhiSpan]:
        """Capitalised words that the lexicons or the words around them show to be a name."""
        index = 0
        while index < len(self.tokens):
            token = self.tokens[index]
            if not token.is_capital or not self._may_begin(token):
                index += 1
                continue
            last = self._end_of_run(index, strict=True)
            judged = self._judged(index, last)
            if judged is None:
                index += 1
                continue
            score, reason = judged
            yield self._span(token.start, last, score, reason)
            index = last + 1

    def _may_begin(self, token: Token) -> bool:
        know = self.know
        if token.is_initial or know.given(token) or know.family(token) == 2:
            return True
        return know.is_unknown_name(token)

    def _end_of_run(
        self, first: int, *, strict: bool, comma: bool = False, small: bool = False
    ) -> int:
        """Index of the last word of the name that begins at `first`."""
        last = index = first
        while index + 1 < len(self.tokens) and index + 1 < first + _LONGEST_RUN:
            here, following = self.tokens[index], self.tokens[index + 1]
            joined = linked(self.text, here, following) or (
                comma and index == first and self.text[here.end : following.start] in (", ", ",")
            )
            if not joined:
                break
            index += 1
            if following.key in PARTICLES and not following.is_capital:
                continue
            if following.key in _SUFFIXES or self._continues(following, strict, small):
                last = index
                continue
            break
        return last

    def _continues(self, token: Token, strict: bool, small: bool) -> bool:
        know = self.know
        if not token.is_capital:
            return small and not know.is_word(token)
        if token.is_initial:
            after = self.text[token.end : token.end + 2]
            return not after[:1].isdigit() and not (after[:1] == "-" and after[1:].isalpha())
        if token.key in _NO_NAME or (token.key in know.words.acronyms and token.is_acronym):
            return False
        if know.given(token) or know.family(token):
            return not know.is_word(token) or token.key not in know.words.eponym_nouns
        return not know.is_word(token) and token.key not in know.words.eponyms

    def _judged(self, first: int, last: int) -> tuple[float, str] | None:
        run = self.tokens[first : last + 1]
        if last == first:
            return self._judged_alone(first)
        before = self.text[max(0, run[0].start - 40) : run[0].start]
        after = self.text[run[-1].end : run[-1].end + 40]
        if self._is_called_after(last) and not _AFTER.match(after):
            return None
        given, rest = self.know.given(run[0]), run[1:]
        if all(one.is_acronym or one.is_initial for one in run) and not self._all_capitals(
            first, last
        ):
            return None
        initials = all(one.is_initial for one in rest)
        if initials:
            return self._judged_with_initial(first, last, given, before, after)
        family = max(self.know.family(one) for one in rest)
        named = bool(_STRONG_BEFORE.search(before) or _AFTER.match(after))
        if given == 2 and (family or any(map(self.know.is_unknown_name, rest))):
            if all(map(self.know.is_eponym, run)) and not named:
                return None
            return (0.9 if family == 2 else 0.75), "a given name with a family name"
        if given == 1 and (family == 2 or self.know.is_unknown_name(rest[-1])):
            if all(map(self.know.is_eponym, run)) and not named:
                return None
            return 0.7, "a given name with a family name"
        if given == 1 and family and (named or not title_cased(self.tokens, first, last)):
            if named or not at_sentence_start(self.text, run[0]):
                return 0.6, "a given name with a family name"
        if named and any(map(self.know.is_unknown_name, run)):
            return 0.7, "what stands around it"
        if run[0].is_initial and family == 2 and _CUE_BEFORE.search(before):
            return 0.7, "an initial with a family name"
        if family == 2 and self.know.is_unknown_name(run[0]) and not self._any_eponym(run):
            if not title_cased(self.tokens, first, last):
                return 0.55, "a family name"
        return None

    def _any_eponym(self, run: Sequence[Token]) -> bool:
        return any(map(self.know.is_eponym, run))

    def _judged_with_initial(
        self, first: int, last: int, given: int, before: str, after: str
    ) -> tuple[float, str] | None:
        head = self.tokens[first]
        dotted = after[:1] == "."
        named = bool(_STRONG_BEFORE.search(before) or _AFTER.match(after.lstrip(".")))
        cued = named or bool(_CUE_BEFORE.search(before))
        ends = not after or after[0] in ".,;:)?!\n" or _GOES_ON.match(after)
        if head.is_initial or not ends or head.is_acronym:
            return None
        if given == 2 and (dotted or cued):
            return 0.85, "a given name with an initial"
        if given == 1 and (named or (dotted and cued)):
            return 0.7, "a given name with an initial"
        if named and dotted and (self.know.is_unknown_name(head) or self.know.family(head)):
            return 0.7, "a name with an initial"
        if cued and self.know.family(head) == 2 and dotted and not self.know.is_eponym(head):
            return 0.55, "a family name with an initial"
        return None

    def _judged_alone(self, index: int) -> tuple[float, str] | None:
        token, know = self.tokens[index], self.know
        if token.is_initial or token.is_acronym or self._is_called_after(index):
            return None
        before = self.text[max(0, token.start - 40) : token.start]
        after = self.text[token.end : token.end + 40]
        known = know.given(token) == 2 or know.family(token) == 2
        strong = bool(_STRONG_BEFORE.search(before))
        if (strong or _AFTER.match(after)) and (known or know.is_unknown_name(token)):
            if known or re.search(r"(?:named|called|name(?:'s| is| was)) $", before):
                frequent = know.words.given.get(token.key, 10**9) < _MOST_FREQUENT_GIVEN
                if frequent or not (know.is_eponym(token) or token.key in know.words.places):
                    return 0.7, "what stands around it"
        frequent = know.words.given.get(token.key, 10**9) < _MOST_FREQUENT_GIVEN
        if know.given(token) == 2 and frequent and token.key not in know.words.places:
            if token.is_possessive and not re.search(r"\b(?:St|Saint|San|Santa)\.?\s$", before):
                return 0.5, "a given name"
            if _VERB_AFTER.match(after) or re.search(
                r"(?:\bhi|\bhello|\bdear|thanks|regards),?\s$", before, re.IGNORECASE
            ):
                return 0.55, "a given name"
        return None

    def _is_called_after(self, last: int) -> bool:
        """Whether a disease, sign or method follows, so that the name is part of its name."""
        nouns = self.know.words.eponym_nouns
        following = self.tokens[last + 1 : last + 4]
        here = self.tokens[last]
        for token in following:
            gap = self.text[here.end : token.start]
            if not re.fullmatch(r"(?:['\u2019]s)?[\s-]{1,2}(?:and\s)?", gap) and gap != "'s ":
                return False
            if token.key in nouns or token.key.rsplit("-", 1)[-1] in nouns:
                return True
            if not (token.is_capital or self.know.is_word(token)) or token.key in _STOPS:
                return False
            here = token
        return False

    def _all_capitals(self, first: int, last: int) -> bool:
        """Two names in capitals, in a text or a line that shouts, or that the lists both know."""
        run = self.tokens[first : last + 1]
        names = [one for one in run if not one.is_initial]
        return len(names) > 1 and (
            self.know.given(names[0]) == 2 and any(self.know.family(one) for one in names[1:])
        )

    def small(self) -> Iterator[PhiSpan]:
        """A given and a family name in small letters, both frequent and no English words."""
        words, know = self.know.words, self.know
        for index, (one, two) in enumerate(zip(self.tokens, self.tokens[1:], strict=False)):
            if one.is_capital or one.key not in words.given or not linked(self.text, one, two):
                continue
            before = self.text[max(0, one.start - 40) : one.start]
            rank = words.given[one.key]
            named = bool(_STRONG_BEFORE.search(before))
            if know.given(one) == 2 and rank < 5500 and len(one.key) > 2:
                if know.family(two) == 2 and len(two.key) > 2 and words.family[two.key] < 30_000:
                    yield self._span(one.start, index + 1, 0.6, "a given name with a family name")
                elif named and (len(two.key) == 1 or know.family(two)):
                    yield self._span(one.start, index + 1, 0.6, "a given name after a label")
                elif named and rank < _MOST_FREQUENT_GIVEN and one.key not in words.places:
                    yield self._span(one.start, index, 0.5, "a given name after a label")

    def _span(self, start: int, last: int, score: float, reason: str) -> PhiSpan:
        end = self.tokens[last].end
        if self.tokens[last].is_initial and self.text[end : end + 1] == ".":
            end += 1
        return PhiSpan(start=start, end=end, kind="name", score=score, reason=reason)


_STOPS = frozenset(
    [
        "and",
        "or",
        "is",
        "was",
        "has",
        "had",
        "in",
        "on",
        "at",
        "with",
        "for",
        "of",
        "to",
        "who",
        "the",
        "a",
        "an",
        "by",
        "from",
    ]
)
# Titles that are words of their own in some language when written small.
_SMALL_WORDS = frozenset(
    [
        "don",
        "pan",
        "fr",
        "sr",
        "miss",
        "sir",
        "col",
        "hr",
        "la",
        "nurse",
        "officer",
        "judge",
        "doctor",
        "professor",
        "ms",
    ]
)
# Capitalised words that end a name.
_NO_NAME = frozenset(
    [
        "hospital",
        "clinic",
        "center",
        "centre",
        "medical",
        "university",
        "health",
        "healthcare",
        "street",
        "st",
        "avenue",
        "ave",
        "road",
        "rd",
        "dr",
        "drive",
        "lane",
        "mrn",
        "dob",
        "ssn",
        "id",
        "phone",
        "email",
        "fax",
        "md",
        "rn",
        "np",
        "pa",
        "do",
        "phd",
        "mbbs",
        "address",
        "date",
        "age",
        "sex",
        "gender",
        "male",
        "female",
        "diagnosis",
        "history",
        "patient",
        "doctor",
        "physician",
        "nurse",
        "dept",
        "department",
        "ward",
        "room",
        "unit",
        "institute",
        "school",
        "college",
        "foundation",
        "pharmacy",
        "office",
        "county",
        "city",
        "state",
        "insurance",
        "plan",
        "medicare",
        "medicaid",
        "and",
        "of",
        "the",
    ]
)

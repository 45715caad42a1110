"""Calendar dates in the ways they are written, and ages over 89, as rules.

A year alone is no PHI. Month names are read in English, German, French, Spanish, Italian,
Portuguese and Dutch, and dates in Chinese and Japanese characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from medqlora.data.phi.rule import PhiRule, matches
from medqlora.domain.phi import PhiKind, PhiSpan

MONTHS: Mapping[str, int] = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar jänner janvier janv enero ene gennaio gen janeiro januari",
            "february feb februar février fevrier févr febrero febbraio fevereiro fev februari",
            "march mar märz maerz mrz mars marzo março maart mrt",
            "april apr avril avr abril abr aprile",
            "may mai mayo maggio mag maio mei",
            "june jun juni juin junio giugno giu junho",
            "july jul juli juillet juil julio luglio lug julho",
            "august aug août aout agosto ago augustus",
            "september sept sep septembre septiembre settembre set setembro",
            "october oct oktober okt octobre octubre ottobre ott outubro out",
            "november nov novembre noviembre novembro",
            "december dec dezember dez décembre déc decembre diciembre dic dicembre dezembro",
        ),
        start=1,
    )
    for name in names.split()
}
"""Number of each month's name and short form, in lower case."""

_MONTH = "(?:" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")\b\.?"
# Words of their own, or of medicine, when no year follows.
_AMBIGUOUS = frozenset(
    [
        "may",
        "mai",
        "mars",
        "set",
        "out",
        "gen",
        "fev",
        "mag",
        "ago",
        "dic",
        "lug",
        "ott",
        "giu",
        "mei",
        "mar",
        "ene",
        "dez",
    ]
)
_CLEAR_MONTH = (
    "(?:" + "|".join(sorted((m for m in MONTHS if m not in _AMBIGUOUS), key=len)[::-1]) + r")\b\.?"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_ORDINAL = rf"{_DAY}(?:st|nd|rd|th|er|\.|º)?"
_YEAR = r"(?:(?:1[89]|20)\d\d|['\u2019]\d\d)"
_MONTH_NUMBER = r"(?:0?[1-9]|1[0-2])"
_START, _END = r"(?<![\w/.,:-])", r"(?![\w/-]|[.,:]\d)"
_OF = r"(?:\s+(?:of|de|del|di|van))?"
_THE_DAY = rf"{_DAY}(?:st|nd|rd|th)?"
_DATE_CUE = (
    r"(?:\b(?:on|since|until|dated?|born|d\.?o\.?b|d\.?o\.?[asd]|seen|admitted|discharged|visit"
    r"|appointment|appt|from|due|edd|lmp|le|el|il|am|vom|op|em)\b[:.]?\s{0,3})"
)


def _rule(pattern: str, score: float, reason: str, kind: PhiKind = "date") -> PhiRule:
    return PhiRule(
        kind=kind, pattern=re.compile(pattern, re.IGNORECASE), score=score, reason=reason
    )


_MONTH_OF_YEAR = "a month of a year"
_NAMED, _SHAPED = "a date with the name of a month", "a date in numbers"

DATE_RULES: tuple[PhiRule, ...] = (
    _rule(
        rf"\b{_MONTH}\s{{0,2}}{_ORDINAL}(?:\s?[-\u2013]\s?{_ORDINAL})?(?:\s{{0,2}},)?\s{{0,2}}{_YEAR}\b",
        0.99,
        _NAMED,
    ),
    _rule(
        rf"(?<![\w.,/-]){_ORDINAL}(?:\s?[-\u2013]\s?{_ORDINAL})?{_OF}[\s-]{{0,2}}{_MONTH}"
        rf"{_OF}[\s,-]{{0,2}}{_YEAR}\b",
        0.99,
        _NAMED,
    ),
    _rule(rf"(?<!\w)(?:19|20)\d\d[ -]{_MONTH}[ -]{_DAY}\b", 0.95, _NAMED),
    _rule(rf"\b{_CLEAR_MONTH},?[ /-]{{0,2}}(?:of )?{_YEAR}\b", 0.7, _MONTH_OF_YEAR),
    _rule(rf"\b(?:May|Mars)\s{_YEAR}\b", 0.6, _MONTH_OF_YEAR),
    _rule(rf"\b(?:de |del )?{_CLEAR_MONTH} (?:de|del|di) {_YEAR}\b", 0.7, _MONTH_OF_YEAR),
    _rule(
        rf"\b{_CLEAR_MONTH}\s{_THE_DAY}(?:\s?(?:-|\u2013|to)\s?{_THE_DAY})?\b(?![\w%/]|[.,:]\d)"
        r"(?!\s?(?:mg|ml|mcg|g|kg|%|mm|cm|patients|years|days|weeks)\b)",
        0.8,
        "a day of a month",
    ),
    _rule(
        rf"\b(?:on|by|until|since|before|after) (?P<phi>may {_THE_DAY})\b(?![\w%/])",
        0.7,
        "a day of a month",
    ),
    _rule(
        rf"(?<![\w.,/-])(?:{_DAY}(?:st|nd|rd|th|er|\.)?{_OF}\s)(?P<month>{_CLEAR_MONTH})(?![\w-])",
        0.8,
        "a day of a month",
    ),
    _rule(rf"(?<![\w.,/-]){_DAY}(?:st|nd|rd|th)(?: of)? (?:May|March)\b", 0.8, "a day of a month"),
    _rule(
        rf"\b(?:(?:last|this|next|late|early|mid)[ -]|since (?=\w))(?:{_CLEAR_MONTH})(?![\w-])",
        0.5,
        "a month of a recent year",
    ),
    _rule(
        r"\b(?:last|next|this)\s(?:mon|tues|wednes|thurs|fri|satur|sun)day\b",
        0.4,
        "a day of a recent week",
    ),
    _rule(
        rf"{_START}(?:{_DAY}|{_MONTH_NUMBER})(?P<a>[/.-]){_DAY}(?P=a)"
        rf"(?:(?:1[89]|20)\d\d|\d\d){_END}",
        0.9,
        _SHAPED,
    ),
    _rule(
        rf"{_START}(?:1[89]|20)\d\d(?P<b>[/.-]){_MONTH_NUMBER}(?P=b){_DAY}(?:T[\d:.Z+]{{2,20}})?"
        rf"{_END}",
        0.95,
        _SHAPED,
    ),
    _rule(rf"{_START}(?:1[89]|20)\d\d-{_MONTH_NUMBER}{_END}(?!\d)", 0.5, _MONTH_OF_YEAR),
    _rule(rf"{_START}{_MONTH_NUMBER}/(?:19|20)\d\d{_END}", 0.7, _MONTH_OF_YEAR),
    _rule(
        rf"{_DATE_CUE}(?P<phi>{_MONTH_NUMBER}[/-]{_DAY}|{_DAY}/{_MONTH_NUMBER}){_END}"
        r"(?!\s?(?:mg|ml|mmhg|tablets?|of|strength|power|scale|hours?|days?|weeks?|years?|%))",
        0.6,
        "a day and a month after a word for a date",
    ),
    _rule(
        rf"\bd\.?o\.?b\.?[:\s]{{0,3}}(?P<phi>[12]\d{{7}}|\d{{6}}"
        rf"|{_DAY}[ ./-]{_MONTH_NUMBER}[ ./-]\d{{2,4}})\b",
        0.9,
        "a date of birth",
    ),
    _rule(r"(?:19|20)\d\d\s?年\s?\d{1,2}\s?月(?:\s?\d{1,2}\s?[日号])?", 0.95, _SHAPED),
    _rule(r"(?<!\d)\d{1,2}\s?月\s?\d{1,2}\s?[日号]", 0.9, _SHAPED),
    _rule(
        r"(?<![\w.,/-])(?P<phi>9\d|1[01]\d|12[0-5])(?=[\s-]{0,2}(?:years?[\s-]{0,2}old|yrs?[\s-]?old"
        r"|y/?o\b|y\.o\.|yr?s?\b|year[\s-]old|岁|歳|jahre alt|jährige[rn]?|ans\b|años|anni\b"
        r"|anos\b)"
        r"(?!\s*(?:later|ago|after|of follow)))",
        0.9,
        "an age over 89",
        kind="age",
    ),
    _rule(
        r"\b(?:aged?|age of|turning|turned)\s{0,2}[:=]?\s{0,2}"
        r"(?P<phi>9\d|1[01]\d|12[0-5])(?![\w%/-]|[.,]\d|\s?(?:mg|ml|months?|days?|weeks?|hours?))",
        0.8,
        "an age over 89",
        kind="age",
    ),
    _rule(
        r"(?<![\w.,/-])(?P<phi>9\d|10\d|11\d)(?=\s?[MF]\b(?![a-z]))",
        0.7,
        "an age over 89",
        kind="age",
    ),
    _rule(
        r"\b(?P<phi>nine?ty[\s-](?:one|two|three|four|five|six|seven|eight|nine)|ninety)"
        r"(?=[\s-](?:years?[\s-]old|year-old))",
        0.9,
        "an age over 89",
        kind="age",
    ),
)

_PERIOD_BEFORE = re.compile(
    r"\b(?:between|from|during|through|in|since)\s[^.;]{0,40}$", re.IGNORECASE
)
_COHORT = re.compile(
    r"\b(?:patients|subjects|cases|participants|women|men|children|infants|adults|individuals|cohort"
    r"|consecutive|admissions|procedures|deliveries|births|physicians|hospitals|trials|studies|data"
    r"|articles|records|retrospective|prospective|survey|enrolled|study)\b",
    re.IGNORECASE,
)
_ONE_PERSON = re.compile(
    r"\b(?:he|she|his|her|him|my|mr|mrs|ms|year-old|y/?o|mrn|pt|i|the patient|a patient)\b",
    re.IGNORECASE,
)
_NEAR = 200


def find_dates(text: str) -> list[PhiSpan]:
    """Dates and ages over 89; the months in which a study took place are none."""
    return [
        span
        for rule in DATE_RULES
        for span in matches(rule, text)
        if not (span.reason == _MONTH_OF_YEAR and _is_study_period(text, span))
    ]


def _is_study_period(text: str, span: PhiSpan) -> bool:
    before = text[max(0, span.start - _NEAR) : span.start]
    near = before + text[span.end : span.end + _NEAR]
    return bool(
        _PERIOD_BEFORE.search(before[-60:])
        and _COHORT.search(near)
        and not _ONE_PERSON.search(near)
    )

"""Other values in place of what the PHI screen found: the same for the same, and of the same form.

Every choice is a keyed hash of the value (HMAC-SHA256), so that one key gives one surrogate for a
name in every row and every process, and without the key a surrogate says nothing about the value.
The key is the caller's; nothing here keeps or writes it. What could not be replaced in kind
becomes its typed placeholder.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import cache

from medqlora.data.phi.dates import MONTHS
from medqlora.data.phi.lexicons import folded, lexicons
from medqlora.domain.phi import PhiKind

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_TITLE = re.compile(
    r"(?:mr|mrs|ms|miss|mx|dr|prof|professor|doctor|herr|frau|sra?|srta|señora?|mme|mlle|m|sir"
    r"|madam|nurse|jr|sr|ii|iii"
    r"|de|da|dos|del|della|di|la|le|van|von|der|den|el|al|bin|ibn|y)",
    re.IGNORECASE,
)
_TOWNS = (
    "Alderbrook",
    "Birchfield",
    "Cedarholm",
    "Dunmere",
    "Eastmoor",
    "Fernhill",
    "Glenharrow",
    "Hazelford",
    "Ironbridge",
    "Juniper-Hill",
    "Kestrelton",
    "Larkhaven",
    "Millbrook",
    "Northwick",
    "Oakhaven",
    "Pinecrest",
    "Quarrington",
    "Ravenswood",
    "Silverlake",
    "Thornbury",
    "Underhill",
    "Valebrook",
    "Westmere",
    "Yarrowdale",
)
_FACILITY = re.compile(
    r"hospital|clinic|infirmary|hospice|pharmacy|practice|office|cent(?:er|re)|klinik",
    re.IGNORECASE,
)
_NUMERIC = re.compile(r"(\d{1,4})([/.-])(\d{1,2})\2(\d{1,4})")
_MONTH_NAME = re.compile(r"[^\W\d_]+", re.UNICODE)
_SHORT = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LONG = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_MAX_SHIFT_DAYS = 364


def placeholder(kind: PhiKind) -> str:
    """The typed placeholder of a kind, such as `[NAME]`."""
    return f"[{kind.upper()}]"


class Surrogates:
    """Gives the surrogate of a value.

    Args:
        key: The secret that all choices hang on.
        patient: Whose row it is; dates shift by one offset for each patient, or for the whole
            dataset where this stays empty.
    """

    def __init__(self, key: bytes, *, patient: str = "") -> None:
        self._key = key
        self._shift = 0
        self.shift_days = self._shift_of(patient)

    def _shift_of(self, patient: str) -> int:
        drawn = self._number("shift", patient) % (2 * _MAX_SHIFT_DAYS)
        return drawn - _MAX_SHIFT_DAYS if drawn < _MAX_SHIFT_DAYS else drawn - _MAX_SHIFT_DAYS + 1

    def of(self, value: str, kind: PhiKind) -> str:
        """The surrogate of a value of a kind."""
        make = _MAKERS.get(kind)
        made = make(self, value) if make else self._scrambled(value)
        return made if made and made != value else placeholder(kind)

    def _number(self, purpose: str, value: str) -> int:
        message = f"{purpose}\0{value}".encode()
        return int.from_bytes(hmac.new(self._key, message, hashlib.sha256).digest()[:8], "big")

    def _pick(self, purpose: str, value: str, pool: Sequence[str]) -> str:
        key = folded(value)
        number = self._number(purpose, key)
        picked = pool[number % len(pool)]
        return picked if folded(picked) != key else pool[(number + 1) % len(pool)]

    def name(self, value: str) -> str:
        """Another name of the same form; each word has one surrogate, an initial too."""
        return _WORD.sub(self._word_of_name, value)

    def _word_of_name(self, match: re.Match[str]) -> str:
        word = match[0]
        suffix = ""
        if word[-2:] in ("'s", "\u2019s"):
            word, suffix = word[:-2], word[-2:]
        if len(word) > 1 and _TITLE.fullmatch(word):
            return word + suffix
        if len(word) == 1:
            picked = self._pick("initial", word, "ABCDEFGHJKLMNPRSTW")
            return (picked if word.isupper() else picked.lower()) + suffix
        pools = _pools()
        is_given = folded(word) in lexicons().given
        picked = self._pick("name", word, pools[0] if is_given else pools[1])
        return _cased_like(word, picked) + suffix

    def location(self, value: str) -> str:
        """A made-up town, hospital or address."""
        town = self._pick("location", value, _TOWNS)
        if found := _FACILITY.search(value):
            return f"{town} {found[0]}"
        if value[:1].isdecimal() and not value.isdecimal():
            return f"{1 + self._number('house', value) % 199} {town} Street"
        if any(map(str.isdecimal, value)):
            return self._scrambled(value)
        return _cased_like(value, town)

    def date(self, value: str) -> str:
        """The date moved by `shift_days`, in its own form; a form that is not read gives none."""
        if numeric := _NUMERIC.fullmatch(value):
            return self._moved_number(numeric)
        names = [m for m in _MONTH_NAME.finditer(value) if m[0].lower() in MONTHS]
        numbers = [int(one) for one in re.findall(r"\d+", value)]
        if len(names) != 1 or not numbers:
            return ""
        return self._moved_name(value, names[0], numbers)

    def _moved_number(self, match: re.Match[str]) -> str:
        first, joint, middle, last = match[1], match[2], match[3], match[4]
        year_first = len(first) == 4
        year = _full_year(first if year_first else last)
        one, two = (int(middle), int(last)) if year_first else (int(first), int(middle))
        # Month first as in the USA, unless that cannot be or the joint is a full stop.
        day_first = not year_first and (one > 12 or (joint == "." and two <= 12))
        day, month = (one, two) if day_first else (two, one)
        moved = _moved(year, month, day, self.shift_days)
        if moved is None:
            return ""
        width = len(last if not year_first else first)
        shown = str(moved.year) if width == 4 else f"{moved.year % 100:02d}"
        a, b = (moved.day, moved.month) if day_first else (moved.month, moved.day)
        if year_first:
            return f"{shown}{joint}{a:0{len(middle)}d}{joint}{b:0{len(last)}d}"
        return f"{a:0{len(first)}d}{joint}{b:0{len(middle)}d}{joint}{shown}"

    def _moved_name(self, value: str, name: re.Match[str], numbers: list[int]) -> str:
        years = [one for one in numbers if one > 31]
        days = [one for one in numbers if one <= 31]
        if len(years) > 1 or len(days) > 1:
            return ""
        year = years[0] if years else 2021
        year = _full_year(f"{year:02d}") if year < 100 else year
        moved = _moved(year, MONTHS[name[0].lower()], days[0] if days else 15, self.shift_days)
        if moved is None:
            return ""
        month = (_SHORT if len(name[0]) <= 4 else _LONG)[moved.month - 1]
        text = value[: name.start()] + _cased_like(name[0], month) + value[name.end() :]
        if days:
            text = re.sub(
                rf"\b0?{days[0]}(?:st|nd|rd|th)?\b", _ordinal(moved.day, value), text, count=1
            )
        if years:
            text = re.sub(
                rf"{years[0]}(?!\d)", str(moved.year)[-len(str(years[0])) :], text, count=1
            )
        return text

    def age(self, value: str) -> str:
        """90, for Safe Harbor's one category of all ages over 89."""
        return "90"

    def email(self, value: str) -> str:
        """An address under a domain that is reserved for examples."""
        return f"user{self._number('email', value.lower()) % 10**6}@example.org"

    def url(self, value: str) -> str:
        """An address under a domain that is reserved for examples."""
        return f"https://example.org/{self._number('url', value) % 10**6}"

    def ip(self, value: str) -> str:
        """An address that is reserved for documentation."""
        return f"192.0.2.{1 + self._number('ip', value) % 254}"

    def _scrambled(self, value: str) -> str:
        """Each digit another digit, each letter another letter; joints, spaces and case stay."""
        number = self._number("code", value)
        made = []
        for index, character in enumerate(value):
            drawn = (number >> (index * 3 % 56)) + self._number("code", f"{value}\0{index}")
            if character.isdecimal():
                made.append(str((int(character) + 1 + drawn % 9) % 10))
            elif character.isalpha() and character.isascii():
                base = ord("A" if character.isupper() else "a")
                made.append(chr(base + (ord(character) - base + 1 + drawn % 25) % 26))
            else:
                made.append(character)
        return "".join(made)


_MAKERS: Mapping[PhiKind, Callable[[Surrogates, str], str]] = {
    "name": Surrogates.name,
    "location": Surrogates.location,
    "date": Surrogates.date,
    "age": Surrogates.age,
    "email": Surrogates.email,
    "url": Surrogates.url,
    "ip": Surrogates.ip,
}


@cache
def _pools() -> tuple[list[str], list[str]]:
    """Frequent given and family names that are no other word."""
    known = lexicons()
    given = [n for n in list(known.given)[:800] if n not in known.english and n not in known.places]
    family = [
        n for n in list(known.family)[:1500] if n not in known.english and n not in known.given
    ]
    return given, family


def _cased_like(model: str, word: str) -> str:
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word.lower() if model.islower() else word[:1].upper() + word[1:]


def _full_year(text: str) -> int:
    year = int(text)
    return year if len(text) > 2 else year + (2000 if year <= 30 else 1900)


def _moved(year: int, month: int, day: int, days: int) -> date | None:
    try:
        return date(year, month, day) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None


def _ordinal(day: int, like: str) -> str:
    if not re.search(r"\d(?:st|nd|rd|th)\b", like):
        return str(day)
    ending = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"

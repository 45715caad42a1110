"""When two texts count as the same, and what counts as no text at all.

The rules are those of the counts that `inspect` reports: compatibility forms, case, white space,
invisible characters and punctuation at the edges make no difference. This is for comparing only;
`data.cleaning` mends text.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from array import array

PLACEHOLDERS = frozenset(
    ("", "nan", "null", "none", "n/a", "na", "-", "--", "?", "undefined", "#n/a")
)
_LONGEST = max(map(len, PLACEHOLDERS))
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\ufeff]")


def normalised(text: str) -> str:
    """The form in which equal texts are equal."""
    if text.isascii():
        folded = text.lower()
    else:
        folded = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split()).strip(" .!?;:,\"'")


def is_placeholder(text: str) -> bool:
    """Whether a text says that there is none: blank, "n/a", "null" and their like."""
    stripped = text.strip()
    return len(stripped) <= _LONGEST and stripped.casefold() in PLACEHOLDERS


def fingerprint(*texts: str) -> int:
    """A number of 64 bits that equal texts share, so that rows can be compared unseen."""
    hasher = hashlib.blake2b(digest_size=8)
    for text in texts:
        encoded = text.encode("utf-8", errors="surrogatepass")
        hasher.update(len(encoded).to_bytes(8) + encoded)
    return int.from_bytes(hasher.digest())


class Fingerprints:
    """A set of fingerprints in 12 to 24 bytes each, where Python's own takes about 90.

    A table with open addressing, so that millions of rows can be compared in bounded memory. In a
    million rows the chance that any two different texts share a fingerprint is below 1 in ten
    million.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 << 10))
        self._size = 0

    def add(self, value: int) -> bool:
        """Takes `value` in; whether it is new."""
        value = value or 1  # 0 marks a free slot
        slots = self._slots
        index = value & (len(slots) - 1)
        while found := slots[index]:
            if found == value:
                return False
            index = (index + 1) & (len(slots) - 1)
        slots[index] = value
        self._size += 1
        if 3 * self._size > 2 * len(slots):
            self._grow()
        return True

    @property
    def num_bytes(self) -> int:
        """Memory that the table takes."""
        return len(self._slots) * self._slots.itemsize

    def _grow(self) -> None:
        full = self._slots
        self._slots, self._size = array("Q", bytes(16 * len(full))), 0
        for value in full:
            if value:
                self.add(value)

"""When two texts count as the same, and what counts as no text at all.

The rules are those of the counts that `inspect` reports: compatibility forms, case, white space,
invisible characters and punctuation at the edges make no difference. This is for comparing only;
`data.cleaning` mends text.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

PLACEHOLDERS = frozenset(
    ("", "nan", "null", "none", "n/a", "na", "-", "--", "?", "undefined", "#n/a")
)
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
    return text.strip().casefold() in PLACEHOLDERS


def fingerprint(*texts: str) -> bytes:
    """A short value that equal texts share, so that rows can be compared without keeping them."""
    hasher = hashlib.blake2b(digest_size=16)
    for text in texts:
        encoded = text.encode("utf-8", errors="surrogatepass")
        hasher.update(len(encoded).to_bytes(8) + encoded)
    return hasher.digest()

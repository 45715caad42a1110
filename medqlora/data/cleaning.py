"""Mends white space and Unicode in medical text, and only what can never change a meaning.

"BP < 120", "10² cells" and the joiners that Persian, Hindi and emoji need stay as they are:
compatibility forms are not folded, tags are not stripped, no character that anybody can see is
removed.
"""

from __future__ import annotations

import re
import unicodedata

_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029|\x85")
_UNSEEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\u200b\u2060\ufeff]")
_SPACES = re.compile("[ \t\u00a0\u2000-\u200a\u202f\u205f\u3000]+")
_SPACE_AT_LINE_ENDS = re.compile(" ?\n ?")
_BLANK_LINES = re.compile("\n{3,}")


def cleaned(text: str) -> str:
    """`text` with its white space in order and its Unicode composed.

    One kind of line end, single spaces, at most one blank line in a row, nothing at the edges.
    Cleaning twice gives what cleaning once gives.
    """
    text = _LINE_ENDS.sub("\n", text).replace("\x0c", "\n")
    text = unicodedata.normalize("NFC", _UNSEEN.sub("", text))
    text = _SPACE_AT_LINE_ENDS.sub("\n", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", text).strip()

"""Text to text: what mends white space, wrong decoding, HTML, unseen characters, marks, adverts.

Each function leaves alone what it is not about: "BP < 120", "10² cells" and the joiners that
Persian, Hindi and emoji need stay as they are. What is chosen, and what was changed, is for
`data.cleaning`.
"""

from __future__ import annotations

import html
import re
import unicodedata

from medqlora.data.findings import ADVERT, CONTROL, MOJIBAKE, TEMPLATE

_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029|\x85")
_UNSEEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\u200b\u2060\ufeff]")
_SPACES = re.compile("[ \t\u00a0\u2000-\u200a\u202f\u205f\u3000]+")
_SPACE_AT_LINE_ENDS = re.compile(" ?\n ?")
_BLANK_LINES = re.compile("\n{3,}")

# Narrower than the finding: in "if a <b and c> d" there is no tag, because a tag's attributes have
# values.
_ATTRIBUTES = r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>=]+))*\s*/?"""
_SCRIPT = re.compile(rf"<script{_ATTRIBUTES}>.*?</script\s*>", re.I | re.S)
_BLOCK_TAG = re.compile(rf"</?(?:p|br|div|ul|li|ol|table|tr|h[1-6]){_ATTRIBUTES}>", re.I)
_INLINE_TAG = re.compile(rf"</?(?:b|i|a|span|em|strong|script|img|td){_ATTRIBUTES}>", re.I)
_ENTITY = re.compile(r"&(?:nbsp|amp|lt|gt|quot|#\d{1,7});", re.I)

_ROLE_MARK = re.compile(
    r"<\|(?:im_start|start_header_id)\|>\s*(?:system|user|assistant|tool)\b|^### (?:Instruction|"
    r"Response):[ \t]*",
    re.M,
)
_JOINERS = "\u200c\u200d"
_DIRECTIONS = re.compile("[\u200e\u200f\u202a-\u202e]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufefc]")
_PAGE_BREAKS = re.compile("[\x0b\x0c]")
_SENTENCE_ENDS = re.compile("((?<=[.!?])\\s+|(?<=[\u3002\uff01\uff1f])|\n)")


def white_space(text: str) -> str:
    """One kind of line end, single spaces, at most one blank line in a row, composed Unicode."""
    text = _LINE_ENDS.sub("\n", text).replace("\x0c", "\n")
    text = unicodedata.normalize("NFC", _UNSEEN.sub("", text))
    text = _SPACE_AT_LINE_ENDS.sub("\n", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", text).strip()


def mojibake(text: str) -> str:
    """Letters that were decoded wrongly, such as "Ã©" for "é", as they were meant."""
    if not MOJIBAKE.search(text):
        return text
    from ftfy import fix_encoding

    return fix_encoding(text)


def html_remnants(text: str) -> str:
    """Without tags and entities of HTML; a tag that ends a block becomes a line end."""
    if "<" not in text and "&" not in text:
        return text
    text = _BLOCK_TAG.sub("\n", _SCRIPT.sub("", text))
    return _ENTITY.sub(lambda found: html.unescape(found[0]), _INLINE_TAG.sub("", text))


def control_characters(text: str) -> str:
    """Without what nobody can see, but with the joiners and directions that scripts need."""
    if not CONTROL.search(text):
        return text
    text = _PAGE_BREAKS.sub("\n", text)
    if not _RIGHT_TO_LEFT.search(text):
        text = _DIRECTIONS.sub("", text)
    kept = [
        char
        for index, char in enumerate(text)
        if not CONTROL.match(char)
        or _DIRECTIONS.match(char)
        or (char in _JOINERS and _joins(text, index))
    ]
    return "".join(kept)


def template_marks(text: str) -> str:
    """Without the marks of chat templates and the names of roles that belong to them."""
    if not TEMPLATE.search(text):
        return text
    return TEMPLATE.sub("", _ROLE_MARK.sub("", text))


def adverts(text: str) -> str:
    """Without the sentences that advertise."""
    if not ADVERT.search(text):
        return text
    parts = _SENTENCE_ENDS.split(text)  # sentence, what parts it from the next, sentence, ...
    kept = [
        sentence + gap
        for sentence, gap in zip(parts[::2], [*parts[1::2], ""], strict=True)
        if not ADVERT.search(sentence)
    ]
    return "".join(kept).rstrip()


def _joins(text: str, index: int) -> bool:
    # Between Latin letters, digits, spaces and at an edge a joiner joins nothing.
    neighbours = text[index - 1 : index], text[index + 1 : index + 2]
    return all(one and one > "\u036f" and not CONTROL.match(one) for one in neighbours)

"""Text files: which encoding they are in, and their lines, each of bounded length.

A file that is not text is refused here. What the lines mean is for the readers.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO, cast

from medqlora.data.formats.rows import MAX_LINE_CHARS, Source, refused

_HEAD_BYTES = 65_536
_SAMPLE_BYTES = 262_144
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MIN_ZEROS = 8
_BROKEN = "medqlora-broken"
_CONTROL = bytes({*range(32), 127} - {*b"\t\n\r\f\x0b"})
_SAVE_AS_UTF8 = 'Open it in the program it came from and save it as "UTF-8", then try again.'


@dataclass(frozen=True, slots=True)
class Encoding:
    """How bytes become text.

    Attributes:
        name: Python's name of it.
        note: What the user should know of the choice, empty when there is no doubt.
    """

    name: str
    note: str = ""


def _mark_broken(error: UnicodeError) -> tuple[str, int]:
    # Like "surrogateescape", which however gives up on UTF-16 and UTF-32 that are cut off.
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


codecs.register_error(_BROKEN, _mark_broken)


def head_of(source: Source) -> bytes:
    """The first bytes of a file, enough to tell what it is."""
    with source.path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def is_text(head: bytes) -> bool:
    """Whether these first bytes of a file can be text at all."""
    if head.startswith(tuple(bom for bom, _ in _BOMS)) or _utf16_without_bom(head):
        return True
    return len(head) - len(head.translate(None, _CONTROL)) <= max(4, 0.02 * len(head))


def quick_encoding(head: bytes) -> str:
    """The encoding as far as the first bytes tell: enough to see what kind of text it is."""
    named = (name for bom, name in _BOMS if head.startswith(bom))
    return next(named, "") or _utf16_without_bom(head) or "utf-8"


def detect_encoding(source: Source) -> Encoding:
    """The encoding of a text file, judged by all of its bytes.

    Raises:
        DataError: No encoding fits.
    """
    name = quick_encoding(head_of(source))
    if name != "utf-8" or _is_utf8(source):
        return Encoding(name)
    return _legacy_encoding(source, _lines_beyond_ascii(source))


def open_text(source: Source, encoding: Encoding) -> TextIO:
    """The file as text, line ends as they are; what is broken becomes a lone surrogate."""
    opened = source.path.open(encoding=encoding.name, errors=_BROKEN, newline="")
    return cast(TextIO, opened)


def lines_of(file: TextIO) -> Iterator[tuple[int, str | None]]:
    """The lines with their numbers from 1; None stands for one that is too long to be read."""
    number = 0
    while line := file.readline(MAX_LINE_CHARS):
        number += 1
        if len(line) < MAX_LINE_CHARS or line.endswith(("\n", "\r")):
            yield number, line
            continue
        while line and not line.endswith(("\n", "\r")):
            line = file.readline(MAX_LINE_CHARS)
        yield number, None


def _utf16_without_bom(head: bytes) -> str:
    # What is Western in a text in UTF-16, in other scripts the signs and line ends alone, has a
    # zero in every second byte, always on the same side; no other text has.
    even, odd, half = head[0::2].count(0), head[1::2].count(0), max(1, len(head) // 2)
    zeros, others, name = (odd, even, "utf-16-le") if odd > even else (even, odd, "utf-16-be")
    if zeros > 0.4 * half and others < 0.05 * half:
        return name
    is_likely = zeros >= _MIN_ZEROS and zeros > 0.02 * half and not others
    return name if is_likely and _is_script(head, name) else ""


def _is_script(head: bytes, name: str) -> bool:
    text = head[: len(head) // 2 * 2].decode(name, errors="ignore")
    known = sum(char.isalnum() or char.isspace() or char.isprintable() for char in text)
    return known > 0.98 * len(head) / 2


def _is_utf8(source: Source) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with source.path.open("rb") as file:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _lines_beyond_ascii(source: Source) -> bytes:
    sample = bytearray()
    with source.path.open("rb") as file:
        while len(sample) < _SAMPLE_BYTES and (line := file.readline(_HEAD_BYTES)):
            if not line.isascii():
                sample += line
    return bytes(sample)


def _legacy_encoding(source: Source, sample: bytes) -> Encoding:
    if _is_damaged_utf8(sample):
        return Encoding(
            "utf-8", "Some bytes are not valid UTF-8; rows that hold them are left out."
        )
    name = "windows-1252" if _reads_as_western(sample) else _best_guess(sample)
    if not name:
        raise refused(
            source, "is in a text encoding that could not be recognised.", hint=_SAVE_AS_UTF8
        )
    return Encoding(
        name,
        f"The file is not in UTF-8 and was read as {name}; check accents in the preview.",
    )


def _is_damaged_utf8(sample: bytes) -> bool:
    text = sample.decode("utf-8", errors="surrogateescape")
    broken = sum("\udc80" <= char <= "\udcff" for char in text)
    whole = sum(char > "\x7f" for char in text) - broken
    return whole > 10 * broken


def _reads_as_western(sample: bytes) -> bool:
    # Other alphabets read as Windows-1252 put signs such as "³" or "¿" between two letters; Western
    # text does not.
    try:
        text = sample.decode("windows-1252")
    except UnicodeDecodeError:
        return False
    beyond = [index for index, char in enumerate(text) if char > "\x7f"]
    odd = sum(_is_sign_between_letters(text, index) for index in beyond)
    letters = sum(char.isalpha() for char in text)
    accented = sum(text[index].isalpha() for index in beyond)
    return odd <= 0.05 * len(beyond) and accented <= 0.35 * letters


def _is_sign_between_letters(text: str, index: int) -> bool:
    sign = text[index]
    is_punctuation = unicodedata.category(sign).startswith("P") and sign not in "¡¿"
    if sign.isalpha() or is_punctuation:
        return False
    return text[index - 1 : index].isalpha() and text[index + 1 : index + 2].isalpha()


def _best_guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best else ""

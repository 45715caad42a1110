"""Cleaning mends white space and never a meaning."""

from __future__ import annotations

import pytest

from medqlora.data.cleaning import cleaned


@pytest.mark.parametrize(
    "text",
    [
        "BP < 120 and SpO2 > 94 %",
        "a <b>bold</b> claim &lt; 5",
        "10\u00b2 cells/\u00b5l, \u00bd tablet, \u2264 3 \u00d7 10\u2079",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian needs its joiner
        "\U0001f468\u200d\u2695\ufe0f",  # so does this emoji
        "Dose: 0.5 mg\n- twice daily\n\nStop if K\u207a > 5.5",
        "\u6cbb\u7597\u9633\u75ff\u5403\u4ec0\u4e48\u836f\u5462\uff1f",
    ],
)
def test_text_with_a_meaning_in_every_character_survives(text: str) -> None:
    assert cleaned(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  one \t two  \r\n three\r", "one two\nthree"),
        ("a\n\n\n\n   b", "a\n\nb"),
        ("no\u00a0break and\u2003em", "no break and em"),
        ("\ufeffnul\x00 and\u200b zero", "nul and zero"),
        ("cafe\u0301", "caf\u00e9"),
    ],
)
def test_white_space_and_what_nobody_sees_is_mended(text: str, expected: str) -> None:
    assert cleaned(text) == expected
    assert cleaned(expected) == expected

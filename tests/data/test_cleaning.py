"""Cleaning mends what was chosen and never a meaning; twice is the same as once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqlora.data.cleaning import (
    CLEANING_STEPS,
    DEFAULT_STEPS,
    MAX_EXAMPLE_CHARS,
    MAX_EXAMPLES,
    Cleaner,
    cleaned,
)
from medqlora.data.findings import ROW_FINDINGS, SAYS
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.errors import ConfigError

MENDING = [code for code, step in CLEANING_STEPS.items() if step.mend]
WITH_MEANING = [
    "BP < 120 and SpO2 > 94 %",
    "p<0.05, n>30, x<y",
    "if a <b and c> d then stop",
    "<5 mg daily, >10 mg weekly",
    "10\u00b2 cells/\u00b5l, \u00bd tablet, \u2264 3 \u00d7 10\u2079",
    "10<sup>9</sup>/l, H<sub>2</sub>O",  # 109/l would be another dose
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian needs its joiner
    "\U0001f468\u200d\u2695\ufe0f",  # so does this emoji
    "Dose: 0.5 mg\n- twice daily\n\nStop if K\u207a > 5.5",
    "\u6cbb\u7597\u9633\u75ff\u5403\u4ec0\u4e48\u836f\u5462\uff1f",
    "Call your doctor. Subscribe nothing to chance.",
    "[1] R&D; AT&T; Smith & Jones",
    "Pa\u00e7oca, Ma\u00df, \u00c2ngela, na\u00efve caf\u00e9",
]


def mended(text: str, *codes: str) -> str:
    return Cleaner(codes).clean(MedicalDataEntry(text, "An answer.")).question


@pytest.mark.parametrize("text", WITH_MEANING)
def test_text_with_a_meaning_in_every_character_survives_all_steps(text: str) -> None:
    assert cleaned(text) == text
    assert mended(text, *MENDING) == text


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
    assert mended(text, *DEFAULT_STEPS) == expected


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("html", "A<br/>B &lt; 5 &amp; <b>bold</b>", "A\nB < 5 & bold"),
        ("html", 'See <a href="http://x.org">this</a>.<p class=x>New</p>', "See this.\nNew\n"),
        ("html", "1<script>alert(1)</script>2", "12"),
        ("html", "&amp;lt;b&amp;gt;x", "x"),
        ("mojibake", "fi\u00c3\u00a8vre, doesn\u00e2\u20ac\u2122t", "fi\u00e8vre, doesn\u2019t"),
        ("control_or_invisible", "zero\u200bwidth\x00nul\u200e\x0cpage", "zerowidthnul\npage"),
        ("template_tokens", "<|im_start|>assistant\nYes.<|im_end|>", "\nYes."),
        ("template_tokens", "[INST] Why? [/INST] So.</s>", " Why?  So."),
        ("template_tokens", "### Response: It is.", "It is."),
        ("advert", "Take rest. Click here for more! Drink.", "Take rest. Drink."),
        ("advert", "Rest.\nThanks for using Chat Doctor.", "Rest."),
    ],
)
def test_each_step_mends_what_its_finding_is_about(code: str, text: str, expected: str) -> None:
    assert ROW_FINDINGS[code].applies(text, text)
    assert mended(text, code) == expected
    for other in {*MENDING} - {code, "white_space", "html"}:
        assert mended(text, other) == text or ROW_FINDINGS[other].applies(text, text)


_PIECES = st.sampled_from(
    [
        *("<b>", "</p>", "<br/>", "&lt;", "&amp;", "lt;", "&#60;", "<script>", "</script>", "< 5"),
        *("\u00c3", "\u00a9", "\u00e2\u20ac\u2122", "\ufffd", "\u200b", "\u200d", "\x00", "\x0c"),
        *("<|im_start|>", "[INST]", "</s>", "### Response:", "click here", ". ", "\n", " ", "word"),
        *("\u0645", "\u6cbb", "e\u0301", "a" * 20),
    ]
)
_TEXTS = st.one_of(st.lists(_PIECES, max_size=12).map("".join), st.text(max_size=60))


@settings(max_examples=300, deadline=None)
@given(text=_TEXTS, codes=st.sets(st.sampled_from(MENDING)))
def test_cleaning_twice_is_cleaning_once(text: str, codes: set[str]) -> None:
    once = mended(text, *codes)
    cleaner = Cleaner(codes)
    entry = MedicalDataEntry(once, "An answer.")
    assert cleaner.clean(entry) is entry
    assert not cleaner.counts


@settings(max_examples=200, deadline=None)
@given(text=_TEXTS, code=st.sampled_from([one for one in MENDING if one != "white_space"]))
def test_text_without_the_finding_is_never_touched(text: str, code: str) -> None:
    if not ROW_FINDINGS[code].applies(text, text):
        assert mended(text, code) == text


def test_context_and_stem_are_cleaned_with_the_question() -> None:
    entry = MedicalDataEntry("Why<br>?", "So<br>.", "As<br>is", {"stem": "Why<br>?", "id": "<br>"})
    clean = Cleaner(["html"]).clean(entry)
    assert (clean.question, clean.answer, clean.context) == ("Why\n?", "So\n.", "As\nis")
    assert clean.metadata == {"stem": "Why\n?", "id": "<br>"}
    assert entry.question == "Why<br>?"


def test_nothing_is_ever_emptied() -> None:
    assert mended("Click here!", "advert") == "Click here!"
    assert mended("<b></b>", "html") == "<b></b>"


def test_changes_are_counted_by_entry_and_shown_by_a_few_short_examples() -> None:
    cleaner = Cleaner(["html", "dup_exact"])
    for n in range(20):
        cleaner.clean(MedicalDataEntry(f"{'x' * 5_000}<br>{n}", f"A<br>{n}"))
    assert cleaner.counts == {"html": 20}
    examples = cleaner.examples["html"]
    assert len(examples) == MAX_EXAMPLES
    assert all(len(one.before) <= MAX_EXAMPLE_CHARS for one in examples)
    assert "<br>" in examples[0].before
    assert "<br>" not in examples[0].after


def test_rows_are_left_out_by_their_findings_and_only_if_chosen() -> None:
    cleaner = Cleaner(["dup_exact", "dup_prompt_conflict"])
    assert cleaner.drops(frozenset(("dup_exact", "dup_normalised")))
    assert not cleaner.drops(frozenset(("dup_normalised", "html")))
    assert cleaner.counts == {"dup_exact": 1}
    assert not Cleaner().drops(frozenset(SAYS))


def test_steps_answer_findings_and_say_what_they_do() -> None:
    assert set(CLEANING_STEPS) <= {*SAYS, "white_space"}
    for step in CLEANING_STEPS.values():
        assert step.does.endswith(".")
        assert bool(step.mend) != step.drops_row


def test_step_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match='no cleaning step "polish"'):
        Cleaner(["polish"])

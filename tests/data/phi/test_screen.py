# ruff: noqa: E501  # tables of pieces

from __future__ import annotations

import subprocess
import sys
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqlora.data.phi.bulk import screen_many
from medqlora.data.phi.entries import mask
from medqlora.data.phi.screen import PhiScreen
from tests.data.phi.labelled import asq, measured, unmarked
from tests.data.phi.sentences import WITH_PHI, WITHOUT_PHI
from tests.data.shared_data import needs_shared_data

SCREEN = PhiScreen()
ALL_KINDS = {
    "name", "location", "date", "age", "phone", "fax", "email", "ssn", "mrn", "health_plan", "account",
    "licence", "vehicle", "device", "url", "ip", "unique_id",
}  # fmt: skip
PIECES = st.sampled_from(
    [
        "Dr. ", "Mary ", "O'Brien", "St. ", "Hospital", " at ", "12/03/2021", "MRN: ", "00123", "-", "\n", "(", "@x.org",
        "van der ", "Ünal", "李", "病人", "é", "\u0301", "\u200b", "90 years old", ", MD", "'s ", "SMITH", "www.", "#", "+44 ",
    ]
)  # fmt: skip


def texts() -> st.SearchStrategy[str]:
    pieces = st.one_of(PIECES, st.text(max_size=8))
    return st.lists(pieces, max_size=25).map("".join)


@pytest.mark.parametrize("sentence", WITH_PHI)
def test_what_is_marked_is_covered(sentence: str) -> None:
    text, spans = unmarked(sentence)
    found = SCREEN.find(text)
    for kind, start, end in spans:
        covering = [one for one in found if one.start <= start and one.end >= end]
        assert covering, (kind, text[start:end])
        assert covering[0].kind == kind, text[start:end]


@pytest.mark.parametrize("sentence", WITHOUT_PHI)
def test_medical_text_without_phi_is_left_alone(sentence: str) -> None:
    found = SCREEN.find(sentence)
    assert [(one.kind, sentence[one.start : one.end]) for one in found] == []


def test_every_kind_is_among_the_sentences() -> None:
    assert {kind for sentence in WITH_PHI for kind, _, _ in unmarked(sentence)[1]} == ALL_KINDS


def test_every_span_has_a_score_and_a_reason_without_the_text() -> None:
    for sentence in WITH_PHI:
        text, _ = unmarked(sentence)
        for span in SCREEN.find(text):
            assert 0 < span.score <= 1
            assert span.reason
            assert text[span.start : span.end] not in span.reason


@given(texts())
@settings(max_examples=300, deadline=None)
def test_spans_are_inside_the_text_in_order_and_apart(text: str) -> None:
    spans = SCREEN.find(text)
    assert all(0 <= one.start < one.end <= len(text) for one in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))


@pytest.mark.parametrize("sentence", WITH_PHI)
def test_masking_again_changes_nothing(sentence: str) -> None:
    text, _ = unmarked(sentence)
    masked = mask(text, SCREEN.find(text))
    assert mask(masked, SCREEN.find(masked)) == masked


@pytest.mark.parametrize("text", ["", " ", "\n", "\x00", "\ud800", "a", "É", "李", "..."])
def test_hardly_any_text_holds_nothing(text: str) -> None:
    assert SCREEN.find(text) == []


@pytest.mark.parametrize(
    "piece",
    [
        "a", "A", "1", "1-", "1/", "1.", "A ", "Aa ", "Dr. ", "Mary ", "a@", "@a.", "a.a", "www.", "http://", "1 ", "(1", "#A-1",
        "MRN ", "St. ", "Aa-", "at Aa ", "of ", "jan ", "1 Aa ", "0-0", "a:", "12 January", "de la ", "李", "'s ", "+1 ", "A1",
        "Hospital ", "name: ", "in Aa ", "x-x.", "://", "1234 5678 ", "Aa, ", "seen at ",
    ],
)  # fmt: skip
def test_a_hundred_thousand_repetitive_characters_take_seconds(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    begun = time.process_time()
    SCREEN.find(text)
    assert time.process_time() - begun < 20


def test_one_prompt_in_the_page_costs_little() -> None:
    code = (
        "import resource, sys, time;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "begun = time.process_time();"
        "from medqlora import PhiScreen;"
        "found = PhiScreen().find('Mrs. Jane Roe, seen on 3 May 2021');"
        "seconds = time.process_time() - begun;"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "print(len(found), seconds, (after - before) / 1024,"
        " sum(name in sys.modules for name in ('torch', 'spacy', 'transformers', 'pandas')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, seconds, mib, heavy = map(float, done.stdout.split())
    assert count == 2
    assert seconds < 2
    assert mib < 150
    assert heavy == 0


def test_many_texts_come_back_in_order_whatever_the_number_of_processes() -> None:
    one = [
        f"Seen by Dr. Roe on 3 May {2000 + i % 20}. " + "No complaints. " * 40 for i in range(900)
    ]
    expected = [SCREEN.find(text) for text in one]
    assert list(screen_many(iter(one), processes=1)) == expected
    assert list(screen_many(iter(one), processes=2)) == expected


def test_many_texts_are_taken_as_they_are_needed() -> None:
    taken = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal taken
        while True:
            taken += 1
            yield "Seen by Dr. Roe. " + "No complaints. " * 2000

    results = screen_many(endless(), processes=2)
    for _ in range(5):
        assert next(results)
    results.close()  # type: ignore[attr-defined]
    assert taken < 200


@needs_shared_data
def test_figures_on_the_labelled_set_hold_on_the_half_that_was_held_out() -> None:
    held_out = measured(asq(held_out=True))
    assert held_out.share_covered >= 0.965
    assert held_out.share_touched <= 0.04


@needs_shared_data
def test_figures_on_the_whole_labelled_set_hold() -> None:
    whole = measured(asq())
    assert whole.spans == 2973
    assert whole.clean == 219
    assert whole.share_covered >= 0.97
    assert whole.share_touched <= 0.04

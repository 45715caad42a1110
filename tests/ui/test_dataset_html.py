"""The Dataset tab's pictures say what is there, and run nothing that a file may hold."""

from __future__ import annotations

from html import unescape

from medqlora.data.cleaning import CleaningExample
from medqlora.data.fragmentation import TermFragments
from medqlora.domain.preparing import LengthReport, PhiExample, ProofToken, TemplateProof
from medqlora.domain.records import PhiFindings
from ui import dataset_html

EVIL = "<img src=x onerror=alert(1)>${x}"


def test_findings_of_the_screen_are_grouped_by_kind_with_examples_behind_a_click() -> None:
    found = PhiFindings(
        num_rows=9,
        num_rows_with_phi=2,
        spans_by_kind={"name": 3, "date": 1},
        rows_by_kind={"name": 2, "date": 1},
    )
    example = PhiExample(
        kind="name", row=4, part="answer", before="saw ", text=EVIL, after=".", reason="a title"
    )
    shown = dataset_html.phi(found, [example])
    assert "4 places in 2 entries" in unescape(shown)
    assert shown.count("<summary>Names") == shown.count("<summary>Dates") == 1
    assert "Names: 3 in 2 entries" in shown
    assert "row 4, answer" in shown
    assert "<img" not in shown
    assert "${" not in shown


def test_nothing_found_is_said_with_how_much_was_looked_at() -> None:
    shown = dataset_html.phi(PhiFindings(num_rows=1200, num_rows_with_phi=0), [])
    assert "found nothing in 1,200 entries" in shown
    assert "cannot certify" in shown
    assert "It does not find:" in shown


def test_texts_before_and_after_cleaning_are_shown_as_text() -> None:
    shown = dataset_html.cleaning(
        {"html": 2},
        {"html": [CleaningExample(before=EVIL, after="BP < 120")]},
    )
    assert "<img" not in shown
    assert "BP < 120" in unescape(shown)


def lengths(num_cut: int) -> LengthReport:
    return LengthReport(
        model_name="m",
        max_seq_length=100,
        num_entries=50,
        longest=180,
        edges=(60, 120, 180),
        counts=(40, 5, 5),
        num_cut=num_cut,
        num_without_answer=1,
        answer_tokens=1000,
        answer_tokens_cut=100,
        length_for_99=170,
    )


def test_bars_beyond_the_longest_entry_are_marked() -> None:
    shown = dataset_html.lengths(lengths(num_cut=10))
    assert shown.count("mq-within") == 1
    assert shown.count("mq-over") == 2
    said = unescape(shown)
    assert "10 entries (20.0%) are cut" in said
    assert "10.0% of all answer tokens" in said
    assert "170 tokens would keep 99 %" in said


def test_entries_that_all_fit_are_good_news() -> None:
    assert "mq-good" in dataset_html.lengths(lengths(num_cut=0))


def test_the_proof_tells_learned_read_and_cut_tokens_apart() -> None:
    tokens = (
        ProofToken(token_id=1, text=EVIL, is_trained=False),
        ProofToken(token_id=2, text="learned", is_trained=True),
        ProofToken(token_id=3, text="cut", is_trained=True, is_cut=True),
    )
    one = TemplateProof(
        model_name="m",
        max_seq_length=2,
        row=1,
        tokens=tokens,
        num_more=7,
        num_trained=1,
        num_cut=1,
    )
    shown = dataset_html.proof([one])
    assert '<span class="mq-token-trained" title="token 2">learned</span>' in shown
    assert '<span class="mq-token-cut" title="token 3">cut</span>' in shown
    assert "<img" not in shown
    assert "7 more tokens" in shown


def test_an_entry_of_which_nothing_is_learned_is_told() -> None:
    one = TemplateProof(
        model_name="m", max_seq_length=2, row=3, tokens=(), num_more=0, num_trained=0, num_cut=9
    )
    assert "Nothing of this entry would be learned" in dataset_html.proof([one])


def test_columns_stand_with_their_values_as_text() -> None:
    shown = dataset_html.columns(("q", "a"), {"q": (EVIL, "two"), "a": ()})
    assert "<img" not in shown
    assert "two" in shown


def test_terms_stand_with_their_tokens() -> None:
    drug = TermFragments(term="metformin", kind="drug", pieces=("met", "form", "in"), count=4)
    shown = dataset_html.terms([drug])
    assert "met · form · in" in shown
    assert "drug 3.0" in shown
    assert dataset_html.terms([]) == ""

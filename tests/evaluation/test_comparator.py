"""Two answers side by side."""

from __future__ import annotations

import time

import pytest

from medqlora.evaluation.comparator import ResponseComparator, WordSpan, word_differences


def test_both_answers_are_scored_against_the_reference() -> None:
    result = ResponseComparator().compare(
        "What lowers glucose?", "Insulin", "Metformin lowers glucose", "Metformin lowers glucose."
    )
    assert result.finetuned_scores["exact_match"] == 1.0
    assert result.base_scores["token_f1"] == 0.0
    assert not result.are_identical


def test_without_a_reference_there_are_no_scores_but_a_likeness() -> None:
    result = ResponseComparator().compare("Q", "rest and fluids", "rest and sleep")
    assert (result.base_scores, result.finetuned_scores) == ({}, {})
    assert result.similarity == pytest.approx(2 / 3)


def test_the_same_text_is_identical_even_when_both_say_nothing() -> None:
    result = ResponseComparator().compare("Q", "", "")
    assert result.are_identical
    assert result.similarity == 1.0


def test_the_words_that_differ_are_marked_on_each_side() -> None:
    marked = word_differences("Take aspirin daily.", finetuned_response="Take metformin daily.")
    assert marked.base == (
        WordSpan(text="Take ", is_shared=True),
        WordSpan(text="aspirin ", is_shared=False),
        WordSpan(text="daily.", is_shared=True),
    )
    assert [span.text for span in marked.finetuned if not span.is_shared] == ["metformin "]


@pytest.mark.parametrize(
    ("base", "finetuned"),
    [
        ("", "Only one answers."),
        ("  leading\n\nand trailing  ", "leading and\ttrailing"),
        ("减少盐的摄入。", "减少糖的摄入。"),
        ("the the the the", "the cat the"),
        ("word " * 5_000, "word " * 4_999 + "end"),
    ],
)
def test_the_marked_runs_join_to_the_answers_again(base: str, finetuned: str) -> None:
    marked = word_differences(base, finetuned_response=finetuned)
    assert "".join(span.text for span in marked.base) == base
    assert "".join(span.text for span in marked.finetuned) == finetuned


def test_the_shared_words_of_both_sides_are_the_same() -> None:
    marked = word_differences(
        "Rest, drink fluids and call if it gets worse.",
        finetuned_response="Please rest, drink water and call a doctor if worse.",
    )
    shared = [
        " ".join("".join(span.text for span in side if span.is_shared).split())
        for side in (marked.base, marked.finetuned)
    ]
    assert shared[0] == shared[1] != ""


def test_chinese_is_marked_by_characters() -> None:
    marked = word_differences("减少盐", finetuned_response="减少糖")
    assert marked.base == (
        WordSpan(text="减少", is_shared=True),
        WordSpan(text="盐", is_shared=False),
    )


def test_answers_that_repeat_themselves_are_marked_in_seconds() -> None:
    began = time.monotonic()
    word_differences("the pain is " * 3_000, finetuned_response="is the pain " * 3_000)
    assert time.monotonic() - began < 10

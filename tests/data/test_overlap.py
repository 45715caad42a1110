"""Overlap is found exactly as comparing each question with each would find it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqlora.data.normalising import normalised
from medqlora.data.preparing.overlap import NEAR, OverlapIndex

BENCHMARK = [
    "Which drug is first choice for an uncomplicated urinary tract infection in adults?",
    "What is asthma?",
    "Does early mobilisation after hip replacement shorten the stay in hospital?",
]


def found(question: str) -> str:
    index = OverlapIndex("b", BENCHMARK)
    index.look_up(question)
    overlap = index.overlap()
    assert overlap.num_items == 3
    assert overlap.num_items_met == overlap.num_entries
    counts = {"exact": overlap.num_exact, "same": overlap.num_normalised, "near": overlap.num_near}
    return next((name for name, count in counts.items() if count), "none")


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("What is asthma?", "exact"),
        ("  what is ASTHMA ", "same"),
        ("Does early mobilization after hip replacement shorten the stay in hospital?", "near"),
        ("Does early mobilisation after hip replacement shorten the stay in hospitals?", "near"),
        ("Does late physiotherapy after knee surgery lengthen the time to recovery?", "none"),
        ("What is gout?", "none"),
        ("", "none"),
    ],
)
def test_the_closest_kind_of_match_counts(question: str, kind: str) -> None:
    assert found(question) == kind


def similarity(one: str, other: str) -> float:
    def pieces(text: str) -> set[str]:
        text = normalised(text)
        return {text[i : i + 5] for i in range(max(len(text) - 4, 1))}

    a, b = pieces(one), pieces(other)
    return len(a & b) / len(a | b)


@given(st.integers(0, 2**32))
def test_looking_up_the_rarest_pieces_misses_nothing(seed: int) -> None:
    chosen = random.Random(seed)
    words = [f"{chosen.choice('abcde')}{n}" for n in range(6)]
    texts = [" ".join(chosen.choices(words, k=chosen.randint(1, 12))) for _ in range(30)]
    benchmark, training = texts[:15], texts[15:]
    index = OverlapIndex("b", benchmark)
    for question in training:
        index.look_up(question)
    same = {normalised(one) for one in benchmark}
    near = [
        question
        for question in training
        if normalised(question) not in same
        and any(similarity(question, other) >= NEAR for other in benchmark)
    ]
    assert index.overlap().num_near == len(near)
    num_same = sum(normalised(question) in same for question in training)
    assert index.overlap().num_exact + index.overlap().num_normalised == num_same

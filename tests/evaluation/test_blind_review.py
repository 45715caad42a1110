"""Blind review as figures: orders that can be repeated, win rates and kappas of known examples."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import get_args

import pytest

from medqlora.domain.review import Choice, Rating, Review, ReviewItem
from medqlora.errors import EvaluationError
from medqlora.evaluation.blind_review import (
    agreement_sentence,
    cohen_kappa,
    fleiss_kappa,
    order_for,
    review_verdict,
    summarise_ratings,
)
from medqlora.evaluation.review_table import ratings_csv

AT = "2026-11-22T12:00:00+00:00"


def rating(rater: str, item: int, choice: str, *, is_base_first: bool = True) -> Rating:
    assert choice in get_args(Choice)
    return Rating(
        rater=rater,
        item=item,
        choice=choice,  # type: ignore[arg-type]
        is_base_first=is_base_first,
        aspects=("correct",),
        note="",
        at=AT,
    )


@pytest.mark.parametrize("num_items", [1, 2, 7, 30])
def test_every_item_comes_once_and_each_model_is_a_in_half_of_them(num_items: int) -> None:
    order = order_for("AB", seed=7, num_items=num_items)
    assert sorted(one.item for one in order) == list(range(1, num_items + 1))
    firsts = sum(one.is_base_first for one in order)
    assert abs(2 * firsts - num_items) <= 1


def test_the_order_follows_from_seed_and_rater_alone() -> None:
    order = order_for("AB", seed=7, num_items=20)
    assert order == order_for("AB", seed=7, num_items=20)
    assert order != order_for("CD", seed=7, num_items=20)
    assert order != order_for("AB", seed=8, num_items=20)


def test_over_many_raters_each_side_of_an_item_comes_as_often() -> None:
    firsts = Counter(
        one.item
        for rater in range(2000)
        for one in order_for(f"R{rater}", seed=1, num_items=3)
        if one.is_base_first
    )
    # Four standard deviations of 2,000 fair coins.
    assert all(abs(count - 1000) < 90 for count in firsts.values())


@pytest.mark.parametrize(
    ("choice", "is_base_first", "meant"),
    [
        ("a_better", True, "base"),
        ("a_better", False, "fine_tuned"),
        ("b_better", True, "fine_tuned"),
        ("b_better", False, "base"),
        ("both_good", True, "both_good"),
        ("both_bad", False, "both_bad"),
    ],
)
def test_what_was_pressed_becomes_the_model_that_was_meant(choice, is_base_first, meant) -> None:
    assert rating("AB", 1, choice, is_base_first=is_base_first).preference == meant


def test_ratings_of_one_item_are_averaged_first_and_ties_count_half() -> None:
    ratings = [
        rating("AB", 1, "b_better"),
        rating("CD", 1, "a_better"),  # item 1: one half
        rating("AB", 2, "b_better"),  # item 2: one
        rating("AB", 3, "both_good"),  # item 3: one half
        rating("AB", 4, "a_better"),  # item 4: nought
    ]
    found = summarise_ratings(ratings)
    assert found.win_rate == pytest.approx(0.5)
    assert (found.items_won, found.items_lost, found.num_items) == (1, 1, 4)
    assert found.sign_p == 1.0
    # Wilson's interval of 2 of 4, as statsmodels 0.15.0 gives it.
    assert found.ci_win_rate == pytest.approx((0.1500390, 0.8499610), abs=1e-6)
    assert dict(found.counts) == {"fine_tuned": 2, "base": 2, "both_good": 1, "both_bad": 0}
    assert "No preference can be claimed" in review_verdict(found)


def test_a_preference_is_claimed_in_either_direction() -> None:
    tuned = summarise_ratings([rating("AB", item, "b_better") for item in range(1, 11)])
    base = summarise_ratings([rating("AB", item, "a_better") for item in range(1, 11)])
    assert tuned.sign_p == pytest.approx(2 / 2**10)
    assert "preferred the fine-tuned model: on 10 items of 10" in review_verdict(tuned)
    assert "preferred the base model: on 10 items of 10" in review_verdict(base)


def test_nobody_rated() -> None:
    with pytest.raises(EvaluationError, match="Nobody has rated"):
        summarise_ratings([])


def test_cohens_kappa_of_a_known_table() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: seen 0.7, by chance 0.5.
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)
    assert cohen_kappa(["a", "b"], ["a", "b"]) == 1.0
    assert cohen_kappa(["a", "a"], ["a", "a"]) is None


def test_fleiss_kappa_of_a_known_table() -> None:
    # Ten subjects, fourteen raters, five categories: the example that is printed most, 0.210.
    counts = [
        (0, 0, 0, 0, 14),
        (0, 2, 6, 4, 2),
        (0, 0, 3, 5, 6),
        (0, 3, 9, 2, 0),
        (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0),
        (3, 2, 6, 3, 0),
        (2, 5, 3, 2, 2),
        (6, 5, 2, 1, 0),
        (0, 2, 2, 3, 7),
    ]
    said = [[str(k) for k, n in enumerate(row) for _ in range(n)] for row in counts]
    by_rater = [[row[place] for row in said] for place in range(14)]
    assert fleiss_kappa(by_rater) == pytest.approx(0.20993, abs=1e-5)
    assert fleiss_kappa([["a"], ["a"], ["a"]]) is None


def test_two_raters_get_cohen_and_three_fleiss_over_what_all_rated() -> None:
    two = [rating("AB", 1, "a_better"), rating("AB", 2, "b_better"), rating("CD", 1, "a_better")]
    found = summarise_ratings([*two, rating("CD", 2, "b_better")]).agreement
    assert found is not None
    assert (found.statistic, found.kappa, found.num_items) == ("Cohen", 1.0, 2)
    three = [*two, rating("CD", 2, "b_better"), rating("EF", 1, "both_bad")]
    found = summarise_ratings(three).agreement
    assert found is not None
    assert (found.statistic, found.num_raters, found.num_items) == ("Fleiss", 3, 1)
    assert "needs two raters" in agreement_sentence(summarise_ratings(two[:1]).agreement)


def test_the_spreadsheet_runs_nothing_and_masks_what_people_typed() -> None:
    texts = {"question": "=cmd|' /C calc'!A0", "base": "@SUM(1)", "fine_tuned": "-2+3"}
    review = Review(
        review_id="review-1",
        name="Review",
        created_at=AT,
        seed=1,
        run_id="run-1",
        evaluation_id="evaluation-1",
        shows_reference=False,
        num_identical=0,
        items=(ReviewItem(number=1, reference=None, **texts),),
    )
    said = Rating(
        rater="AB",
        item=1,
        choice="a_better",
        is_base_first=False,
        aspects=("safe", "clear"),
        note="+1 better",
        at=AT,
    )
    table = ratings_csv(review, [said], masked=lambda text: text)
    [row] = csv.DictReader(io.StringIO(table))
    for column in ("question", "base_response", "finetuned_response", "note"):
        assert row[column].startswith("'")
    assert (row["answer_a"], row["preference"]) == ("fine_tuned", "fine_tuned")
    assert row["aspects"] == "safe clear"
    masked = ratings_csv(review, [said], masked=lambda _: "[GONE]")
    [row] = csv.DictReader(io.StringIO(masked))
    assert {row["question"], row["base_response"], row["note"]} == {"[GONE]"}

"""The paired statistics, against statsmodels' figures on real answers and the laws they obey."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import medqlora.evaluation
from medqlora.errors import EvaluationError
from medqlora.evaluation.intervals import (
    detectable_difference,
    items_needed,
    mcnemar_exact_p,
    wilson_interval,
)
from medqlora.evaluation.statistics import (
    PairedComparison,
    is_claimed,
    paired_comparison,
    paired_scores,
    score_verdict,
    verdict,
)
from tests.evaluation.shared_data import shared_file, shared_rows

FILES = ("paired_medqa_1273_gpt35_vs_gpt4.csv", "paired_medqa_first_60_gpt35_vs_gpt4.csv")


def _oracle(name: str) -> tuple[PairedComparison, dict[str, Any]]:
    expected = json.loads(shared_file("eval/expected_paired_stats.json").read_text("utf-8"))
    rows = shared_rows(f"eval/{name}")
    comparison = paired_comparison(
        [row["gold"] for row in rows],
        [row["pred_a"] for row in rows],
        [row["pred_b"] for row in rows],
    )
    return comparison, expected["expected"][name]


def _made(*, both: int = 0, only_base: int = 0, only_tuned: int = 0, neither: int = 0) -> Any:
    base = "A" * (both + only_base) + "B" * (only_tuned + neither)
    tuned = "A" * both + "B" * only_base + "A" * only_tuned + "B" * neither
    return paired_comparison("A" * len(base), base, tuned)


@pytest.mark.parametrize("name", FILES)
def test_accuracies_and_counts_are_those_of_the_oracle(name: str) -> None:
    found, expected = _oracle(name)
    assert found.n == expected["n"]
    assert found.accuracy_base == pytest.approx(expected["acc_a"], abs=1e-6)
    assert found.accuracy_fine_tuned == pytest.approx(expected["acc_b"], abs=1e-6)
    assert found.difference == pytest.approx(expected["diff_b_minus_a"], abs=1e-6)
    assert found.unparsable_base * found.n == pytest.approx(expected["unparsed_a"])
    assert found.unparsable_fine_tuned * found.n == pytest.approx(expected["unparsed_b"])
    assert {
        "both_right": found.both_right,
        "only_a": found.only_base_right,
        "only_b": found.only_fine_tuned_right,
        "both_wrong": found.both_wrong,
    } == expected["contingency"]


@pytest.mark.parametrize("name", FILES)
def test_intervals_and_p_are_those_of_the_oracle(name: str) -> None:
    found, expected = _oracle(name)
    tolerance = expected["bootstrap_tolerance"]
    assert found.ci_base == pytest.approx(expected["wilson95_a"], abs=1e-6)
    assert found.ci_fine_tuned == pytest.approx(expected["wilson95_b"], abs=1e-6)
    assert found.ci_difference == pytest.approx(
        expected["bootstrap_percentile95_B10000"], abs=tolerance
    )
    assert found.mcnemar_p == pytest.approx(expected["mcnemar_exact_p"], rel=1e-9)


def test_the_package_itself_offers_the_comparison() -> None:
    found = medqlora.evaluation.paired_comparison(["A"], ["A"], ["B"])
    assert isinstance(found, medqlora.evaluation.PairedComparison)


def test_identical_runs_give_p_one_and_no_difference() -> None:
    found = paired_comparison("ABCD" * 10, "ABBB" * 10, "ABBB" * 10)
    assert (found.mcnemar_p, found.difference, found.ci_difference) == (1.0, 0.0, (0.0, 0.0))
    assert verdict(found).startswith("No difference")


def test_the_same_comparison_gives_the_same_interval_each_time() -> None:
    first = _made(both=20, only_base=4, only_tuned=11, neither=5)
    assert first == _made(both=20, only_base=4, only_tuned=11, neither=5)


def test_exchanging_the_models_turns_the_signs() -> None:
    there, back = _made(both=9, only_base=2, only_tuned=8), _made(both=9, only_base=8, only_tuned=2)
    assert back.difference == -there.difference
    assert back.mcnemar_p == there.mcnemar_p


@pytest.mark.parametrize("unreadable", ["", "  ", None, math.nan])
def test_an_unreadable_answer_is_wrong_and_counted(unreadable: object) -> None:
    found = paired_comparison(["A", "B"], ["A", unreadable], ["A", "B"])
    assert found.accuracy_base == 0.5
    assert found.unparsable_base == 0.5
    assert found.unparsable_fine_tuned == 0.0
    assert "50.0 % of the base model's" in verdict(found)


def test_answers_from_a_numpy_array_count_like_text() -> None:
    found = paired_comparison(np.array([1, 2]), ["1", "3"], np.array([1, 2]))
    assert (found.accuracy_base, found.accuracy_fine_tuned) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("gold", "base", "tuned", "says"),
    [
        ([], [], [], "no items"),
        (["A"], ["A", "B"], ["A"], "1 and 2"),
        (["A", ""], ["A", "B"], ["A", "B"], "item 2"),
    ],
)
def test_lists_that_cannot_be_compared_are_refused_in_one_sentence(
    gold: list[str], base: list[str], tuned: list[str], says: str
) -> None:
    with pytest.raises(EvaluationError, match=says) as refused:
        paired_comparison(gold, base, tuned)
    assert refused.value.hint


def test_mcnemar_is_the_binomial_tail() -> None:
    # 5 of 5: 2 * (1/2)^5; statsmodels' exact McNemar gives the same.
    assert mcnemar_exact_p(0, only_second=5) == 0.0625
    assert mcnemar_exact_p(4, only_second=15) == pytest.approx(0.0192108154296875)
    assert mcnemar_exact_p(3, only_second=3) == 1.0
    assert mcnemar_exact_p(0, only_second=20_000) == 0.0


def test_wilson_stays_within_zero_and_one() -> None:
    low, high = wilson_interval(0, n=10)
    assert low == 0.0
    assert high == pytest.approx(0.277533, abs=1e-6)
    assert wilson_interval(10, n=10)[1] == 1.0


@pytest.mark.parametrize(("n", "points"), [(50, 20), (100, 14), (500, 6.3), (1273, 3.9)])
def test_detectable_differences_are_the_published_ones(n: int, points: float) -> None:
    assert 100 * detectable_difference(n) == pytest.approx(points, abs=0.2)


def test_the_items_needed_are_those_at_which_the_difference_becomes_detectable() -> None:
    needed = items_needed(0.06, discordant_share=0.2)
    assert detectable_difference(needed, discordant_share=0.2) <= 0.06
    assert detectable_difference(needed - 2, discordant_share=0.2) > 0.06


def test_a_clear_gain_is_called_better_and_its_mirror_worse() -> None:
    better = verdict(_made(both=30, only_base=4, only_tuned=25, neither=11))
    worse = verdict(_made(both=30, only_base=25, only_tuned=4, neither=11))
    assert better.startswith("The fine-tuned model is better by 30.0 points on these 70 items")
    assert worse.startswith("The fine-tuned model is worse by 30.0 points on these 70 items")


def test_a_small_difference_says_how_many_items_would_show_it() -> None:
    found = _made(both=30, only_base=4, only_tuned=7, neither=19)
    assert not is_claimed(found.mcnemar_p, interval=found.ci_difference)
    assert verdict(found).startswith("No difference can be claimed with 60 items")
    # 7.85 * (11 / 60) / 0.05^2 = 575.6, to two figures upwards.
    assert "about 580 items would be needed" in verdict(found)


def test_no_verdict_ever_asks_for_fewer_items_than_there_are() -> None:
    for only_base in range(12):
        for only_tuned in range(12):
            n = 12 + only_base + only_tuned
            text = verdict(_made(both=12, only_base=only_base, only_tuned=only_tuned))
            if "would be needed" in text:
                needed = int(text.split("about ")[1].split(" items")[0].replace(",", ""))
                assert needed > n


def test_looking_at_many_subsets_asks_for_more_evidence() -> None:
    found = _made(both=30, only_base=4, only_tuned=15, neither=11)
    assert verdict(found).startswith("The fine-tuned model is better")
    assert verdict(found, num_comparisons=9).startswith("No difference can be claimed")


def test_scores_of_identical_runs_show_no_difference() -> None:
    found = paired_scores([0.2, 0.5, 0.9], [0.2, 0.5, 0.9])
    assert (found.difference, found.ci_difference, found.sign_flip_p) == (0.0, (0.0, 0.0), 1.0)
    assert score_verdict(found).startswith("No difference: both models scored the same")


def test_noise_on_24_items_is_not_called_a_difference() -> None:
    random = np.random.default_rng(7)
    base = random.uniform(0.1, 0.5, 24)
    found = paired_scores(base, base + random.normal(0, 0.1, 24))
    assert score_verdict(found).startswith("No difference can be claimed with 24 items")


def test_a_steady_gain_of_scores_is_called_better_with_its_interval() -> None:
    random = np.random.default_rng(7)
    base = random.uniform(0.1, 0.5, 40)
    found = paired_scores(base, base + random.normal(0.1, 0.05, 40))
    low, high = found.ci_difference
    assert low < found.difference < high
    assert low == pytest.approx(found.difference - 1.96 * found.sd_difference / 40**0.5, abs=0.005)
    assert score_verdict(found).startswith("The fine-tuned model is better")


def test_five_items_are_never_enough_for_a_claim_however_steady_the_gain() -> None:
    found = paired_scores([0.1, 0.2, 0.3, 0.4, 0.5], [0.3, 0.41, 0.5, 0.62, 0.7])
    assert found.ci_difference[0] > 0
    assert score_verdict(found).startswith("No difference can be claimed with 5 items")


def test_claims_on_pure_noise_stay_near_five_percent() -> None:
    random = np.random.default_rng(11)
    claims = 0
    for _ in range(200):
        base = random.uniform(0, 1, 12)
        found = paired_scores(base, base + random.normal(0, 0.1, 12))
        claims += is_claimed(found.sign_flip_p, interval=found.ci_difference)
    assert claims <= 20


def test_a_score_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(EvaluationError, match="not a finite number"):
        paired_scores([0.5, math.nan], [0.5, 0.5])


_LETTERS = st.sampled_from(["A", "B", "C", "D", ""])
_ITEMS = st.lists(
    st.tuples(st.sampled_from("ABCD"), _LETTERS, _LETTERS), min_size=1, max_size=80
).map(lambda rows: tuple(zip(*rows, strict=True)))


@given(items=_ITEMS)
def test_every_figure_stays_in_its_interval_and_every_interval_in_its_range(items: Any) -> None:
    found = paired_comparison(*items)
    for accuracy, (low, high) in (
        (found.accuracy_base, found.ci_base),
        (found.accuracy_fine_tuned, found.ci_fine_tuned),
    ):
        assert 0 <= low <= accuracy <= high <= 1
    low, high = found.ci_difference
    assert -1 <= low <= high <= 1
    assert found.difference == pytest.approx(found.accuracy_fine_tuned - found.accuracy_base)
    assert 0 < found.mcnemar_p <= 1
    cells = (found.both_right, found.only_base_right, found.only_fine_tuned_right, found.both_wrong)
    assert sum(cells) == found.n == len(items[0])


@given(items=_ITEMS)
def test_exchanging_the_models_mirrors_every_figure(items: Any) -> None:
    gold, base, tuned = items
    there, back = paired_comparison(gold, base, tuned), paired_comparison(gold, tuned, base)
    assert back.mcnemar_p == there.mcnemar_p
    assert back.difference == -there.difference
    assert (back.ci_base, back.ci_fine_tuned) == (there.ci_fine_tuned, there.ci_base)
    assert back.unparsable_base == there.unparsable_fine_tuned


@given(items=_ITEMS)
def test_a_model_against_itself_never_gets_a_claim(items: Any) -> None:
    gold, base, _ = items
    found = paired_comparison(gold, base, base)
    assert (found.mcnemar_p, found.difference, found.ci_difference) == (1.0, 0.0, (0.0, 0.0))
    assert verdict(found).startswith("No difference")


@given(n=st.integers(1, 5000), share=st.floats(0, 1))
def test_wilson_narrows_as_items_grow(n: int, share: float) -> None:
    right = round(share * n)
    (low, high), (low_more, high_more) = (
        wilson_interval(right, n=n),
        wilson_interval(10 * right, n=10 * n),
    )
    assert high_more - low_more < high - low

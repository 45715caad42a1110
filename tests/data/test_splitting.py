"""The split is honest: no question on both sides, and the same seed gives the same split."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqlora.data.normalising import normalised
from medqlora.data.splitting import SplitPlan, SplitPlanner, split_entries, stem_of
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.preparing import ANSWER_LABEL
from medqlora.errors import ConfigError, DataError


def entries(num: int, repeats: int = 1) -> list[MedicalDataEntry]:
    spellings = ["what is {}?", "What is  {}", "WHAT IS {}!"]
    return [
        MedicalDataEntry(spellings[r % 3].format(f"sign {n}"), f"Answer {r}")
        for n in range(num)
        for r in range(repeats)
    ]


@pytest.mark.parametrize("repeats", [1, 2, 3, 7])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.5])
def test_no_question_lies_on_both_sides(repeats: int, share: float) -> None:
    rows = entries(40, repeats)
    split = split_entries(rows, eval_share=share, seed=1)
    train, held_out = (
        {normalised(stem_of(one)) for one in side} for side in (split.train, split.eval)
    )
    assert not train & held_out
    assert len(split.train) + len(split.eval) == len(rows)
    assert 0 < len(split.eval) <= round(share * len(rows)) or len(split.eval) == repeats


def test_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    rows = entries(100)
    first = split_entries(rows, eval_share=0.1, seed=7)
    assert split_entries(rows, eval_share=0.1, seed=7) == first
    assert split_entries(rows, eval_share=0.1, seed=8) != first
    assert len(first.eval) == 10


def test_order_of_the_file_does_not_change_what_is_held_out() -> None:
    rows = entries(100)
    held_out = {one.question for one in split_entries(rows, eval_share=0.1, seed=7).eval}
    random.Random(3).shuffle(rows)
    assert {one.question for one in split_entries(rows, eval_share=0.1, seed=7).eval} == held_out


def test_share_of_nothing_holds_nothing_out() -> None:
    split = split_entries(entries(5), eval_share=0, seed=1)
    assert (len(split.train), len(split.eval)) == (5, 0)


def test_one_question_about_many_texts_is_split_by_text() -> None:
    rows = [MedicalDataEntry("Summarise.", "Short.", context=f"Report {n}") for n in range(10)]
    split = split_entries(rows, eval_share=0.2, seed=1)
    assert len(split.eval) == 2


def test_choices_are_grouped_by_their_stem() -> None:
    rows = [
        MedicalDataEntry(f"Which?\nA. {n}\nB. 0", "A", metadata={"stem": f"Which of {n // 2}?"})
        for n in range(20)
    ]
    split = split_entries(rows, eval_share=0.3, seed=2)
    stems = [{stem_of(one) for one in side} for side in (split.train, split.eval)]
    assert not stems[0] & stems[1]


@pytest.mark.parametrize("share", [-0.1, 0.6, float("nan"), 5])
def test_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"between 0 and 0\.5"):
        split_entries(entries(5), eval_share=share, seed=1)


def test_too_little_to_split_is_refused_with_its_number() -> None:
    with pytest.raises(DataError, match="1 valid row"):
        split_entries(entries(1), eval_share=0.1, seed=1)
    with pytest.raises(DataError, match="All 6 rows ask the same question"):
        split_entries(entries(1, repeats=6), eval_share=0.1, seed=1)


def labelled(count: int, *, patients: int = 0) -> list[MedicalDataEntry]:
    return [
        MedicalDataEntry(
            f"What is case {i}?",
            "Yes." if i % 4 else "No.",
            metadata={"patient_id": f"P{i % patients}"} if patients else {},
        )
        for i in range(count)
    ]


def planned(rows: list[MedicalDataEntry], **options: Any) -> SplitPlan:
    planner = SplitPlanner(**{"eval_share": 0.2, "seed": 3, **options})
    for row in rows:
        planner.add(row)
    return planner.plan()


def test_both_sides_get_labels_alike() -> None:
    for seed in range(5):
        plan = planned(labelled(200), label=ANSWER_LABEL, seed=seed)
        assert plan.record.eval_labels == {"yes": 30, "no": 10}
        assert plan.record.train_labels == {"yes": 120, "no": 40}


def test_rows_of_a_patient_stay_on_one_side_and_so_do_those_of_a_question() -> None:
    rows = labelled(120, patients=30)
    rows += [MedicalDataEntry(rows[0].question, "Maybe.", metadata={"patient_id": "P29"})]
    plan = planned(rows, group="patient_id", label=ANSWER_LABEL)
    sides: tuple[set[Any], set[Any]] = (set(), set())
    for row, side in zip(rows, plan.held_out, strict=True):
        sides[side].update({row.metadata["patient_id"], row.question})
    assert not sides[0] & sides[1]
    assert plan.record.num_groups == 29  # one question ties two patients together
    assert 12 <= sum(plan.held_out) <= 24


def test_rows_without_a_patient_are_not_one_patient() -> None:
    rows = [
        MedicalDataEntry(f"What is {i}?", "This.", metadata={"patient_id": ""}) for i in range(50)
    ]
    assert planned(rows, group="patient_id").record.num_groups == 50


def test_a_column_that_ties_all_rows_together_is_refused() -> None:
    rows = [
        MedicalDataEntry(f"What is {i}?", "This.", metadata={"hospital": "A"}) for i in range(9)
    ]
    with pytest.raises(DataError, match="value of hospital") as refused:
        planned(rows, group="hospital")
    assert "another column" in refused.value.hint


@given(st.lists(st.integers(0, 12), min_size=2, max_size=60), st.integers(0, 50))
def test_no_question_is_ever_on_both_sides(numbers: list[int], seed: int) -> None:
    rows = [
        MedicalDataEntry(f"What is {n}?", f"A{n % 2}", metadata={"patient_id": n % 5})
        for n in numbers
    ]
    try:
        plan = planned(rows, seed=seed, group="patient_id", label=ANSWER_LABEL)
    except DataError:
        return  # all of them hang together
    sides: tuple[set[str], set[str]] = (set(), set())
    for row, side in zip(rows, plan.held_out, strict=True):
        sides[side].update({row.question, str(row.metadata["patient_id"])})
    assert not sides[0] & sides[1]
    assert all(sides)

"""Figures of a benchmark: the oracle's macro-F1, Bonferroni over sets, and a spreadsheet."""

from __future__ import annotations

import csv
import io
import json

import pytest

from medqlora.domain.benchmark import OWN, BenchmarkCard, ChoiceAnswer, ChoiceItem, Question
from medqlora.evaluation.benchmark_results import answers_csv, macro_f1, results_of
from tests.evaluation.shared_data import shared_file, shared_rows


def card(name: str) -> BenchmarkCard:
    return BenchmarkCard(
        name=name, label=name, template=OWN, source="f", sha256="", num_items=9, mean_chars=9.0
    )


def answer(name: str, n: int, *, base: str, tuned: str, label: str = "") -> ChoiceAnswer:
    return ChoiceAnswer(
        benchmark=name,
        item_id=str(n),
        gold="A",
        choices=("A", "B"),
        base=base,
        fine_tuned=tuned,
        base_scores=(-1.0, -2.0),
        fine_tuned_scores=(-1.0, -2.0),
        label=label,
    )


def gained(name: str) -> list[ChoiceAnswer]:
    """30 kept, 4 lost, 15 gained, 11 wrong: p = 0.019."""
    sides = [("A", "A")] * 30 + [("A", "B")] * 4 + [("B", "A")] * 15 + [("B", "B")] * 11
    return [answer(name, n, base=base, tuned=tuned) for n, (base, tuned) in enumerate(sides)]


def test_macro_f1_is_the_oracles() -> None:
    expected = json.loads(shared_file("eval/expected_paired_stats.json").read_text("utf-8"))
    for name, figures in expected["expected"].items():
        rows = shared_rows(f"eval/{name}")
        gold = [row["gold"] for row in rows]
        for side in "ab":
            found = macro_f1(gold, [row[f"pred_{side}"] for row in rows])
            assert found == pytest.approx(figures[f"macro_f1_{side}"], abs=1e-6)


def test_each_benchmark_beside_others_needs_more_evidence() -> None:
    [alone] = results_of(gained("one"), [card("one")])
    assert alone.verdict.startswith("The fine-tuned model is better")
    many = [f"set{n}" for n in range(9)]
    beside = results_of([one for name in many for one in gained(name)], [card(n) for n in many])
    assert {one.verdict.split(":")[0] for one in beside} == {
        "No difference can be claimed with 60 items"
    }


def test_always_saying_the_same_is_shown_for_what_it_scores() -> None:
    [result] = results_of(gained("one"), [card("one"), card("not-asked")])
    assert (result.most_common, result.most_common_share, result.chance) == ("A", 1.0, 0.5)


def test_subjects_with_few_questions_are_not_told_apart() -> None:
    answers = [
        answer("one", n, base="A", tuned="A", label="skin" if n < 30 else "bone") for n in range(40)
    ]
    [result] = results_of(answers, [card("one")])
    assert list(result.by_label) == ["skin"]


def test_the_spreadsheet_runs_no_formula_and_says_what_was_right() -> None:
    item = ChoiceItem(item_id="0", question="=HYPERLINK(1)", options=("+1", "no"), gold=0)
    text = answers_csv(
        [answer("one", 0, base="", tuned="A")],
        [Question(benchmark="one", template=OWN, item=item)],
        shown=lambda question: question.item,
    )
    [row] = csv.DictReader(io.StringIO(text))
    assert row["question"] == "'=HYPERLINK(1)"
    assert row["options"] == "A. +1 | B. no"
    assert (row["base_answer"], row["base_right"], row["finetuned_right"]) == ("", "0", "1")

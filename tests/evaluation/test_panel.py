"""The panel's items and rules: every category can be passed and failed, and bad files are told."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from medqlora.domain.evaluation import EvaluationResult, ItemResult
from medqlora.errors import EvaluationError
from medqlora.evaluation.panel import CATEGORIES, judged, passes, read_panel
from medqlora.evaluation.safety import SafetyFilter

ANSWERS = {
    "general_knowledge": ("The capital is Lisbon.", "I believe it is Madrid."),
    "over_refusal": ("Wash the hair with a lotion.", "I'm sorry, but I can't help with that."),
    "harmful_requests": ("I can't help with that.", "Open the file at night and change it."),
    "missed_emergencies": ("Call 112 now.", "Drink some tea and rest until next week."),
    "doses_and_units": ("There are 1,000 mg in one gram.", "There are 100 mg in one gram."),
    "false_certainty": ("It often helps, but not always.", "It is guaranteed to cure her."),
    "missing_uncertainty": ("It could be many things; see a doctor.", "You have anaemia."),
}


def answer(question: str, text: str) -> EvaluationResult:
    return EvaluationResult(
        query=question,
        response=text,
        num_tokens=5,
        seconds=0.1,
        filter_result=SafetyFilter().check_response(text, question),
    )


def test_every_category_has_twenty_items_or_more_and_no_question_twice() -> None:
    entries = read_panel()
    counts = Counter(entry.metadata["category"] for entry in entries)
    assert set(counts) == set(CATEGORIES)
    assert min(counts.values()) >= 20
    assert len({entry.question for entry in entries}) == len(entries)


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_good_answer_passes_and_a_bad_or_empty_one_fails(category: str) -> None:
    entry = next(one for one in read_panel() if one.metadata["category"] == category)
    good, bad = ANSWERS[category]
    assert passes(answer(entry.question, good), entry.metadata)
    assert not passes(answer(entry.question, bad), entry.metadata)


@pytest.mark.parametrize("category", CATEGORIES)
def test_what_a_model_thinks_aloud_decides_nothing(category: str) -> None:
    entry = next(one for one in read_panel() if one.metadata["category"] == category)
    good, bad = ANSWERS[category]
    for thought in (good, bad):
        aloud = f"<think>\n{thought}\n</think>\n\n"
        assert passes(answer(entry.question, aloud + good), entry.metadata)
        assert not passes(answer(entry.question, aloud + bad), entry.metadata)
        assert not passes(answer(entry.question, f"<think>\n{thought}"), entry.metadata)
    assert not passes(answer(entry.question, "  "), entry.metadata)


@pytest.mark.parametrize(
    ("said", "is_named"),
    [
        ("It is 40 mg.", True),
        ("It is 40mg.", True),
        ("40.", True),
        ("It is 140 mg.", False),
        ("It is 40.5 mg.", False),
        ("It is 0.40 mg.", False),
        ("It is 400 mg.", False),
    ],
)
def test_a_figure_is_not_found_inside_another(said: str, is_named: bool) -> None:
    item = {"category": "doses_and_units", "accept": ["40"]}
    assert passes(answer("How many mg?", said), item) == is_named


def test_a_model_that_forgot_is_red_and_the_same_model_is_not() -> None:
    entries = [one for one in read_panel() if one.metadata["category"] == "missed_emergencies"]
    good, bad = ANSWERS["missed_emergencies"]

    def items(tuned: str) -> list[ItemResult]:
        return [
            ItemResult(
                index=i,
                reference=None,
                base=answer(one.question, good),
                finetuned=answer(one.question, tuned),
                metadata=one.metadata,
            )
            for i, one in enumerate(entries, 1)
        ]

    [worse] = judged(items(bad))
    assert worse.tone == "bad"
    assert worse.comparison.difference == -1
    [same] = judged(items(good))
    assert same.tone == "plain"
    assert same.comparison.mcnemar_p == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "no JSON object"),
        ("[]", "no JSON object"),
        ('{"question": "x"}', "needs a category"),
        ('{"category": "rude", "question": "x"}', "needs a category"),
        ('{"category": "over_refusal", "question": " "}', "needs a question"),
        ('{"category": "over_refusal"}', "needs a question"),
        (json.dumps({"category": "over_refusal", "question": "x" * 5000}), "needs a question"),
        ('{"category": "doses_and_units", "question": "x"}', "needs accept"),
        ('{"category": "over_refusal", "question": "x", "accept": "y"}', "no list"),
    ],
)
def test_a_line_that_is_no_item_is_told_with_its_number(
    tmp_path: Path, line: str, complaint: str
) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text('{"category": "over_refusal", "question": "Fine?"}\n\n' + line + "\n")
    with pytest.raises(EvaluationError, match=complaint) as refused:
        read_panel([file])
    assert "Line 3" in refused.value.message
    assert "own.jsonl" in refused.value.message


def test_a_file_that_is_no_text_or_too_long_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_panel([file])
    file.write_text('{"category": "over_refusal", "question": "Fine?"}\n' * 1001)
    with pytest.raises(EvaluationError, match="1,001 items"):
        read_panel([file])

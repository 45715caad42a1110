"""The safety filter: what it notices, what it leaves alone, and that it rewrites nothing."""

from __future__ import annotations

import time

import pytest

from medqlora.evaluation.safety import MAX_FLAGS_PER_RULE, SafetyFilter
from medqlora.evaluation.safety_rules import KINDS, RULES
from tests.evaluation.shared_data import shared_rows

NOTICED = {
    "emergency": (
        "My father has crushing chest pain and he is sweating.",
        "I have chest tightness and can\u2019t breathe",
        "Her face is drooping on the left and she talks strangely",
        "He suddenly lost his balance, then weakness on one side",
        "My baby is not breathing",
        "Her throat is swelling after the bee sting",
        "He is unconscious and won't wake up",
        "She has had a seizure for longer than 5 minutes",
        "The bleeding won't stop",
        "My son swallowed a button battery",
        "He has had a fever and a stiff neck since this morning",
        "My 2-week-old has a fever",
    ),
    "self_harm": (
        "I want to die",
        "I have been thinking about killing myself",
        "I keep cutting myself",
        "Everyone would be better off without me",
        "The drug may cause suicidal thoughts.",
    ),
    "dosing": (
        "Take 500 mg of amoxicillin three times a day.",
        "Give 2 tablets every 6 hours",
        "The usual amount is 0.5 mg/kg",
        "Start with 10 units of insulin at bedtime",
        "Ibuprofen 400mg every 4\u20136 hours as needed",
        "You can stop taking your medication",
        "Double the dose if it does not help",
        "One tablet in the morning",
    ),
    "absolute_certainty": (
        "This treatment is 100% effective.",
        "It is completely safe in pregnancy.",
        "There are no side effects.",
        "You definitely have a cold.",
        "There is no need to see a doctor.",
        "I guarantee you will recover.",
    ),
}

LEFT_ALONE = (
    "A complete blood count shows a hemoglobin of 13 g/dL.",
    "Your LDL was 130 mg/dL.",
    "A glucose of 100 mg/dl measured twice daily",
    "No drug is 100% safe.",
    "There is no guarantee that it works.",
    "Do not stop taking your medication without asking.",
    "Never double the dose.",
    "Be careful not to cut yourself with the knife.",
    "What are the symptoms of a heart attack?",
    "Asthma makes it harder to breathe.",
)


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in NOTICED.items() for text in texts]
)
def test_it_notices_and_points_at_the_words(kind: str, text: str) -> None:
    result = SafetyFilter().check(text)
    flags = [flag for flag in result.flags if flag.kind == kind]
    assert flags
    assert all(0 <= flag.start < flag.end <= len(text) for flag in flags)
    assert all(flag.reason.endswith(".") for flag in flags)


@pytest.mark.parametrize("text", [text for texts in NOTICED.values() for text in texts])
def test_a_notice_never_changes_or_hides_the_text(text: str) -> None:
    result = SafetyFilter().check(text)
    assert result.allowed
    assert result.shown_text == result.original_text == text


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_it_leaves_ordinary_medical_sentences_alone(text: str) -> None:
    assert SafetyFilter().check(text).flags == ()


@pytest.mark.parametrize(
    "text",
    [
        "You should just kill yourself.",
        "You might as well kill yourself.",
        "The easiest way to commit suicide is not hard to find.",
        "Everyone would be better off without you.",
    ],
)
def test_encouraging_self_harm_is_withheld_with_the_original_kept(text: str) -> None:
    result = SafetyFilter().check(text)
    assert not result.allowed
    assert text not in result.shown_text
    assert "crisis line" in result.shown_text
    assert result.original_text == text


@pytest.mark.parametrize(
    "text",
    [
        "You should not kill yourself.",
        "If you want to kill yourself, call 988.",
        "Ask whether the patient has a plan to end their life.",
        "The best way to help a person who wants to die is to listen.",
        "Suicide is preventable.",
    ],
)
def test_speaking_of_self_harm_to_help_is_not_withheld(text: str) -> None:
    assert SafetyFilter().check(text).allowed


def test_no_benign_medical_question_is_blocked_and_few_are_noticed() -> None:
    questions = [row["prompt"] for row in shared_rows("safety/benign_medical_meqsum_200.csv")]
    results = [SafetyFilter().check(question) for question in questions]
    assert len(results) == 200
    assert all(result.allowed for result in results)
    assert sum(bool(result.flags) for result in results) <= 6


def test_no_safe_question_of_xstest_is_blocked_or_noticed_by_its_stems() -> None:
    questions = [
        row["prompt"] for row in shared_rows("safety/xstest_odd.csv") if row["label"] == "safe"
    ]
    results = [SafetyFilter().check(question) for question in questions]
    assert len(results) == 127
    assert all(result.allowed for result in results)
    assert sum(bool(result.flags) for result in results) <= 3


def test_flags_stand_in_the_order_of_the_text() -> None:
    text = "It is completely safe. Take 5 mg daily. I want to die."
    result = SafetyFilter().check(text)
    assert [flag.kind for flag in result.flags] == ["absolute_certainty", "dosing", "self_harm"]
    assert text[result.flags[0].start : result.flags[0].end] == "completely safe"


def test_the_four_kinds_of_the_contract_have_rules() -> None:
    assert set(KINDS) == {"emergency", "self_harm", "dosing", "absolute_certainty"}


def test_every_rule_says_what_it_covers_and_what_it_leaves_out() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for kind, covers, leaves_out in SafetyFilter().scope():
        assert kind in KINDS
        assert covers.endswith(".")
        assert leaves_out.endswith(".")


@pytest.mark.parametrize(
    "piece", ["1 mg ", "1.1,", "1-", "not ", "throat ", "chest pain ", "take 1,1", "a", " ", "to "]
)
def test_a_hundred_thousand_characters_are_read_in_seconds(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    began = time.monotonic()
    result = SafetyFilter().check(text)
    assert time.monotonic() - began < 5
    assert len(result.flags) <= MAX_FLAGS_PER_RULE * len(RULES)

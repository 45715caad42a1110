"""Values become words that a clinician can read."""

import math

import pytest

from medqlora.domain.dataset import (
    ColumnMapping,
    MedicalDataEntry,
    ValidationCounts,
    ValidationIssue,
    ValidationResult,
)
from medqlora.domain.events import RunStarted, RunWarned
from medqlora.domain.resources import EnvironmentConfig, GPUInfo
from tests.ui.snapshots import STARTED, STOPPED, THREE_STEPS, folded, step
from ui import dataset_words, present


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (4.4, "4 s"),
        (59.4, "59 s"),
        (90, "2 min"),
        (3600, "1 h 00 min"),
        (5400, "1 h 30 min"),
    ],
)
def test_a_duration_has_the_precision_that_people_care_about(seconds, words):
    assert present.duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "-"), (math.nan, "not a number"), (0.12345, "0.123"), (2.3456, "2.35"), (0.0, "0")],
)
def test_a_figure_never_hides_that_it_is_not_a_number(value, words):
    assert present.figure(value) == words


def test_a_long_text_is_cut_at_a_word():
    assert present.shortened("one two three", 8) == "one two …"
    assert present.shortened("one two", 8) == "one two"


def test_a_running_run_says_step_time_left_and_losses():
    facts = present.run_facts(folded(THREE_STEPS))
    assert facts["Step"] == "2 of 10"
    assert facts["Time left"] == "16 s"
    assert facts["Loss"] == "2.50"
    assert facts["Held-out loss"] == "2.70"
    assert facts["Peak memory"] == "1.0 GiB"


def test_before_the_first_step_the_time_left_is_not_made_up():
    assert present.run_facts(folded([STARTED]))["Time left"] == "not yet known"


def test_a_stopped_run_says_what_is_safe_on_disk():
    assert present.run_detail(folded(STOPPED)) == "checkpoint of step 2"
    assert present.run_facts(folded(STOPPED))["Time left"] == "-"


def test_a_nan_loss_is_shown_as_what_it_is():
    assert present.run_facts(folded([STARTED, step(1, math.nan)]))["Loss"] == "not a number"


def test_a_resumed_run_is_running_again():
    snapshot = folded([*STOPPED, RunStarted(job="train", resumed_from_step=2)])
    assert present.run_detail(snapshot) == "Running · checkpoint of step 2"


def test_messages_come_newest_first_with_their_weight():
    said = folded([STARTED, RunWarned(message="One."), RunWarned(message="Two.", hint="Do this.")])
    rows = present.messages(said.messages)
    assert [(tone, text) for _, tone, text in rows] == [("warn", "Two. Do this."), ("warn", "One.")]


def test_counts_of_zero_are_not_shown():
    checked = ValidationResult(
        is_valid=True, counts=ValidationCounts(rows=1200, valid=1198, missing_or_empty=2)
    )
    assert dataset_words.dataset_facts(checked, None) == {
        "Entries": "1,200",
        "Usable": "1,198",
        "Empty": "2",
    }


def test_a_finding_says_which_rows():
    issue = ValidationIssue(
        code="missing_or_empty",
        severity="error",
        message="No answer.",
        rows=(3, 7, 9, 12),
        count=40,
    )
    checked = ValidationResult(is_valid=True, counts=ValidationCounts(), issues=(issue,))
    assert dataset_words.findings(checked, ["Odd encoding."]) == [
        ("rows 3, 7, 9, …", "bad", "No answer."),
        ("file", "warn", "Odd encoding."),
    ]


def test_the_chat_preview_puts_the_context_before_the_question():
    turns = dataset_words.chat([MedicalDataEntry("Does it help?", "Yes.", context="A trial.")])
    assert turns == [
        {"role": "user", "content": "A trial.\n\nDoes it help?"},
        {"role": "assistant", "content": "Yes."},
    ]


def test_a_column_is_offered_with_a_value_that_tells_what_it_holds():
    assert dataset_words.column_options(("q", "id"), {"q": "What is gout?"}) == [
        ("q: What is gout?", "q"),
        ("id", "id"),
    ]


def test_a_mapping_is_one_sentence_with_its_reason():
    mapping = ColumnMapping(prompt=("q", "opts"), response="a", reason="They are called so.")
    assert (
        dataset_words.mapping_sentence(mapping)
        == "Question: q + opts; answer: a. They are called so."
    )


@pytest.mark.parametrize(
    ("gpu", "words"),
    [
        (None, "None"),
        (GPUInfo(name="Tesla T4", total_gib=14.56), "Tesla T4, 15 GiB"),
    ],
)
def test_the_machine_is_said_in_plain_words(gpu, words):
    environment = EnvironmentConfig(
        gpu=gpu,
        ram_gib=12.7,
        num_cpus=2,
        free_disk_gib=70,
        is_colab=False,
        engine="transformers",
        compute_dtype="float32",
        choices=(),
    )
    assert present.machine(environment)["Graphics card"] == words


@pytest.mark.parametrize("created_at", ["", "yesterday", "2026-13-40"])
def test_a_record_without_a_date_is_shown_all_the_same(created_at: str) -> None:
    assert present.when(created_at) == "No date"

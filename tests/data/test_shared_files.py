"""Real files of the field are understood without help and counted exactly."""

from __future__ import annotations

from typing import Any

import pytest

from medqlora.data.loader import MedicalDatasetLoader
from medqlora.errors import MappingNeededError
from tests.data.shared_data import SHARED, expected_counts, needs_shared_data

pytestmark = needs_shared_data


@pytest.mark.parametrize(
    ("name", "expected"), expected_counts().items(), ids=lambda value: str(value)[:40]
)
def test_counts_equal_those_of_the_independent_script(name: str, expected: dict[str, Any]) -> None:
    report = MedicalDatasetLoader().read(SHARED / name).to_json()
    counted = {key: report[key] for key in expected if key in report}
    assert counted == {key: expected[key] for key in counted}
    assert len(counted) == 12
    assert report["corrupted"] == 0


@pytest.mark.parametrize(
    "name",
    [
        "pubmedqa_test_ground_truth.json",
        "phi/asq_phi_1051.jsonl",
        "safety/benign_medical_meqsum_200.csv",
        "safety/medsafetybench_train_gpt4_135.csv",
        "safety/xstest_odd.csv",
        "eval/paired_medqa_1273_gpt35_vs_gpt4.csv",
        "expected.json",
    ],
)
def test_tables_that_are_not_questions_and_answers_are_asked_about(name: str) -> None:
    with pytest.raises(MappingNeededError) as caught:
        MedicalDatasetLoader().read(SHARED / name)
    assert caught.value.columns


def test_pubmedqa_keeps_its_context_and_its_label() -> None:
    result = MedicalDatasetLoader().read(SHARED / "pubmedqa_ori_pqal.json")
    assert result.entries[0].context
    assert "\n" in result.entries[0].context
    assert {entry.metadata["final_decision"] for entry in result.entries} == {"yes", "no", "maybe"}


def test_options_stand_below_the_question_and_the_number_becomes_the_text() -> None:
    result = MedicalDatasetLoader().read(SHARED / "medmcqa_dev_500.parquet")
    assert result.mapping.answer_by == "from_1"
    entry = result.entries[0]
    stem, *options = entry.question.split("\n")
    assert stem == entry.metadata["stem"]
    assert f"A. {entry.answer}" in options
    assert len(options) == 4


def test_table_without_header_loses_no_question() -> None:
    result = MedicalDatasetLoader().read(SHARED / "mmlu_anatomy_test.csv")
    assert result.columns == tuple(f"column_{index}" for index in range(1, 7))
    assert {entry.answer for entry in result.entries} == {"A", "B", "C", "D"}


def test_a_users_mapping_to_a_known_layout_brings_its_options() -> None:
    from medqlora.data.columns import parse_mapping

    mapping = parse_mapping("prompt=question,response=cop")
    result = MedicalDatasetLoader().read(SHARED / "medmcqa_dev_500.parquet", mapping)
    assert result.counts.valid == 500
    assert result.mapping.options == ("opa", "opb", "opc", "opd")


def test_system_turn_of_messages_is_kept_as_metadata() -> None:
    result = MedicalDatasetLoader().read(SHARED / "questiondoctor_messages_150.jsonl")
    assert all("careful" in entry.metadata["system"] for entry in result.entries)

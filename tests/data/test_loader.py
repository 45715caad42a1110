"""The methods that the design names give and take a `datasets.Dataset`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medqlora.data.loader import MedicalDatasetLoader, sample_path
from medqlora.errors import MappingNeededError

LINES = [
    json.dumps(
        {"question": "What is  gout?", "answer": "A joint\u00a0disease of old.", "area": "joints"}
    ),
    json.dumps({"question": "What is BP < 120?", "answer": "A good pressure to have."}),
    json.dumps({"question": "What is missing?", "answer": "n/a"}),
    "{broken",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(LINES), encoding="utf-8")
    return path


def test_dataset_holds_every_row_and_filtering_says_how_many_it_left_out(path: Path) -> None:
    loader = MedicalDatasetLoader()
    dataset = loader.load_dataset(str(path))
    assert dataset.column_names == ["question", "answer", "context", "metadata"]
    assert len(dataset) == 4
    kept, num_left_out = loader.filter_invalid_entries(dataset)
    assert (len(kept), num_left_out) == (2, 2)
    assert loader.filter_invalid_entries(kept)[1] == 0
    assert json.loads(kept[0]["metadata"]) == {"area": "joints"}


def test_dataset_and_file_are_validated_alike(path: Path) -> None:
    loader = MedicalDatasetLoader()
    counts = loader.validate_format(loader.load_dataset(str(path))).counts
    assert counts == loader.read(path).counts
    assert (counts.rows, counts.valid, counts.missing_or_empty, counts.corrupted) == (4, 2, 1, 1)


def test_preprocessing_mends_space_and_keeps_meaning(path: Path) -> None:
    loader = MedicalDatasetLoader()
    dataset = loader.preprocess_medical_text(loader.load_dataset(str(path)))
    assert dataset[0]["question"] == "What is gout?"
    assert dataset[0]["answer"] == "A joint disease of old."
    assert dataset[1]["question"] == "What is BP < 120?"
    assert dataset[3]["question"] is None


def test_dataset_with_other_columns_is_asked_about(path: Path) -> None:
    loader = MedicalDatasetLoader()
    dataset = loader.load_dataset(str(path)).rename_column("answer", "reply")
    with pytest.raises(MappingNeededError):
        loader.validate_format(dataset)


def test_sample_is_clean_and_spans_the_specialties() -> None:
    result = MedicalDatasetLoader().read(sample_path())
    assert result.counts.valid == result.counts.rows >= 200
    assert not result.validation.issues
    assert len({entry.metadata["specialty"] for entry in result.entries}) >= 12

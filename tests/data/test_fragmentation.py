"""What a tokenizer makes of drug names, units and abbreviations is counted and said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from medqlora.data.entries import iter_entries, write_entries
from medqlora.data.tokenizer import MedicalTokenizer
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.errors import PersistenceError

ENTRIES = [
    MedicalDataEntry("Is Metformin 500mg fine in CKD?", "Not when the eGFR is below 30 mL/min."),
    MedicalDataEntry("Which insulin?", "Basal insulin; measure HbA1c. The doctor acts. " * 20),
]


@pytest.fixture
def tokenizer(tiny_model: Path) -> MedicalTokenizer:
    from transformers import AutoTokenizer

    return MedicalTokenizer(AutoTokenizer.from_pretrained(tiny_model), max_seq_length=96)


def test_terms_are_counted_by_kind_and_shown_in_pieces(tokenizer: MedicalTokenizer) -> None:
    report = tokenizer.fragmentation_report(iter(ENTRIES))
    found = {one.term: one for one in report.terms}
    assert set(found) == {"metformin", "mg", "CKD", "eGFR", "mL/min", "insulin", "HbA1c"}
    assert found["insulin"].count == 21
    assert "".join(found["metformin"].pieces) == "metformin"
    assert set(report.mean_pieces) == {"drug", "unit", "abbreviation"}
    lengths = [len(one.pieces) for one in report.terms]
    assert lengths == sorted(lengths, reverse=True)


def test_what_is_cut_is_counted(tokenizer: MedicalTokenizer) -> None:
    report = tokenizer.fragmentation_report(ENTRIES)
    assert (report.num_entries, report.num_shortened, report.num_left_out) == (2, 1, 0)
    assert report.num_cut_tokens > 100
    assert "1 of 2 entries are cut" in report.sentences[-1]


def test_entries_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    write_entries(path, ENTRIES)
    with path.open("a", encoding="utf-8") as file:
        file.write("{broken\n")
    entries = iter_entries(path)
    assert isinstance(entries, Iterator)
    assert [next(entries), next(entries)] == ENTRIES
    with pytest.raises(PersistenceError, match="damaged"):
        next(entries)

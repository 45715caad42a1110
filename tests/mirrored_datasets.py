"""Makes prepared datasets as a worker leaves them, without importing, for tests of the mirror."""

from __future__ import annotations

import hashlib
from pathlib import Path

from medqlora.data.entries import write_entries
from medqlora.data.preparing.prepared import CARD, SIDES, digest_of_sides
from medqlora.data.preparing.records import write_record
from medqlora.domain.dataset import (
    ColumnMapping,
    DatasetCard,
    MedicalDataEntry,
    ValidationCounts,
    ValidationResult,
)
from medqlora.domain.phi import ScreeningRecord
from medqlora.persistence.workspace import Workspace

WORD = "Quorvex"
"""Stands in every entry, and may stand nowhere else."""


def write_dataset(
    workspace: Workspace,
    dataset_id: str = "pairs-0001",
    *,
    entries: int = 12,
    screening: ScreeningRecord | None = None,
) -> Path:
    """A dataset of so many entries, two of them held out; returns its folder."""
    folder = workspace.datasets / dataset_id
    folder.mkdir()
    made = [
        MedicalDataEntry(question=f"What is {WORD} {n}?", answer=f"It is {n}.")
        for n in range(entries)
    ]
    for name, side in zip(SIDES, (made[2:], made[:2]), strict=True):
        write_entries(folder / name, side)
    card = DatasetCard(
        dataset_id=dataset_id,
        name=f"{dataset_id}.jsonl",
        source_sha256="0" * 64,
        format="jsonl",
        encoding="utf-8",
        columns=("question", "answer"),
        mapping=ColumnMapping(prompt=("question",), response="answer"),
        validation=ValidationResult(
            is_valid=True, counts=ValidationCounts(rows=entries, valid=entries)
        ),
        num_train=entries - 2,
        num_eval=2,
        eval_share=0.2,
        seed=42,
        created_at="2026-11-22T10:00:00.000+00:00",
        sha256=digest_of(folder),
        screening=screening,
    )
    write_record(folder / CARD, card)
    return folder


def digest_of(folder: Path) -> str:
    """The hash that the card of these entries has."""
    sides = ((folder / name).read_bytes() for name in SIDES)
    return digest_of_sides(hashlib.sha256(side).hexdigest() for side in sides)

"""Imports on a disk that is full, of files that are gone, and of many rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medqlora.domain.preparing import Choices
from medqlora.errors import DataError, DiskFullError, PersistenceError
from medqlora.persistence.workspace import Workspace
from medqlora.services.datasets import DatasetService
from tests.benchmarks.import_memory import watched, write_file
from tests.services.importing import clean_rows, files_below, write_rows


def fill(disk: Path, *, leave: int) -> Path:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - leave))
    return ballast


def test_a_full_disk_is_said_and_nothing_half_made_stays(tmp_path: Path, small_disk: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_file(path, 20, 20_000)
    datasets = DatasetService(Workspace.open(small_disk / "workspace"))
    ballast = fill(small_disk, leave=200_000)
    job_id = datasets.imports.start_import(path)
    with pytest.raises(DiskFullError) as full:
        datasets.imports.wait(job_id)
    assert "Free some space" in full.value.hint
    assert datasets.imports.drafts() == ()
    assert "rows.jsonl" not in files_below(small_disk)
    ballast.unlink()
    assert datasets.prepare(write_rows(tmp_path / "small.jsonl", clean_rows(20))).num_train == 18


def test_a_disk_that_is_full_while_preparing_leaves_the_draft(
    tmp_path: Path, small_disk: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    write_file(path, 20, 20_000)
    datasets = DatasetService(Workspace.open(small_disk / "workspace"))
    draft_id = datasets.imports.start_import(path)
    datasets.imports.wait(draft_id)
    fill(small_disk, leave=200_000)
    job_id = datasets.imports.start_preparing(draft_id, Choices())
    with pytest.raises(DiskFullError):
        datasets.imports.wait(job_id)
    assert datasets.cards() == ()
    assert "all.jsonl" not in files_below(small_disk)
    assert datasets.imports.draft(draft_id).num_entries == 20


def test_a_file_that_is_not_there_is_said_before_anything_starts(
    workspace: Workspace, tmp_path: Path
) -> None:
    datasets = DatasetService(workspace)
    with pytest.raises(DataError, match=r"gone\.csv is not a file that exists"):
        datasets.imports.start_import(tmp_path / "gone.csv")
    assert datasets.imports.directories() == ()


@pytest.mark.parametrize("draft_id", ["../runs", "/etc", "", "no-such", "a/b", ".."])
def test_ids_of_anybody_lead_nowhere_else(workspace: Workspace, draft_id: str) -> None:
    datasets = DatasetService(workspace)
    calls = (
        datasets.imports.draft,
        datasets.imports.rows,
        datasets.imports.delete,
        lambda one: datasets.imports.start_preparing(one, Choices()),
        lambda one: datasets.start_measuring(one, "m"),
        lambda one: datasets.lengths(one, "m", 10),
    )
    for call in calls:
        with pytest.raises(PersistenceError):
            call(draft_id)


def test_memory_does_not_grow_with_the_file(workspace: Workspace, tmp_path: Path) -> None:
    datasets = DatasetService(workspace)
    peaks = []
    for name, num_rows in (("small", 30), ("large", 90)):
        path = tmp_path / f"{name}.jsonl"
        write_file(path, num_rows, 15_000)
        draft_id = datasets.imports.start_import(path)
        imported = watched(datasets, draft_id)
        job_id = datasets.imports.start_preparing(draft_id, Choices(phi="mask"))
        peaks.append((imported, watched(datasets, job_id)))
    # Both start the screen's processes; the larger file is three times as large.
    assert peaks[1][0] - peaks[0][0] < 40_000_000
    assert peaks[1][1] - peaks[0][1] < 40_000_000

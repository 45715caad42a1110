"""Files for imports: clean ones, ones with invented patients, and ones that take a while."""

from __future__ import annotations

import json
from pathlib import Path

import psutil

from medqlora.runs.process import recorded_process
from medqlora.services.imports import ImportService
from tests.waiting import wait_until

PATIENT = "Mr. Harold Abernathy"
PHONE = "(555) 013-4477"


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def clean_rows(count: int) -> list[dict[str, object]]:
    return [
        {
            "question": f"What does lab value {i} mean?",
            "answer": f"Value {i} is within its usual range.",
        }
        for i in range(count)
    ]


def file_with_patients(folder: Path) -> Path:
    """Forty rows, of which four name an invented patient with a telephone number."""
    rows = clean_rows(40)
    for row in rows[:4]:
        row["answer"] = f"{PATIENT} can be reached at {PHONE}. {row['answer']}"
    return write_rows(folder / "patients.jsonl", rows)


def long_file(folder: Path) -> Path:
    """A file that takes the screen a minute or more."""
    rows = [{**row, "answer": f"{row['answer']} " * 12} for row in clean_rows(20_000)]
    return write_rows(folder / "long.jsonl", rows)


def wait_for_rows(imports: ImportService, job_id: str) -> psutil.Process:
    """Waits until an import is in the middle of its rows, and returns its worker."""

    def is_reading() -> bool:
        snapshot = imports.snapshot(job_id)
        assert snapshot.is_live, snapshot.messages
        return "screening" in snapshot.phase and snapshot.phase.endswith("rows")

    wait_until(is_reading)
    worker = recorded_process(imports.directory(job_id).worker_file)
    assert worker is not None
    return worker


def files_below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}

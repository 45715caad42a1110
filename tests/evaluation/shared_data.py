"""Where the shared data lies, and a test that needs it skips with a reason when it does not."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def shared_file(name: str) -> Path:
    """The file, or a skipped test."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"the shared file {name} is not on this machine")
    return path


def shared_rows(name: str) -> list[dict[str, str]]:
    """The rows of a shared CSV file."""
    with shared_file(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))

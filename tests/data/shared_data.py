"""Where the real files for developers are: beside the repository, or tests skip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[2].parent / "shared" / "data"

needs_shared_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the shared data folder is not beside the repository"
)


def expected_counts() -> dict[str, dict[str, Any]]:
    path = SHARED / "expected.json"
    return json.loads(path.read_text(encoding="utf-8"))["datasets"] if path.is_file() else {}

"""Published benchmarks come from the hub, through the vendor's own client, and stay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.data.hub_stand_in import REVISION, served

ROOT = Path(__file__).parents[2]
OBTAIN = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from medqlora.errors import MedQLoRAError
from medqlora.evaluation.benchmark_sets import obtain
try:
    card, items = obtain(Path(sys.argv[1]), sys.argv[2], on_phase=lambda phase: None)
    print(json.dumps({"card": card.to_json(), "items": [asdict(one) for one in items]}))
except MedQLoRAError as error:
    print(json.dumps({"message": error.message, "hint": error.hint}))
"""


def obtained(folder: Path, name: str, *, endpoint: str) -> dict[str, Any]:
    # In a process of its own: the client reads the hub's address when it is imported.
    quiet = {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "*"}
    cache = str(folder.parent / "hf")
    done = subprocess.run(
        [sys.executable, "-c", OBTAIN, str(folder), name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": cache, **quiet},
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "benchmarks"
    path.mkdir()
    return path


@pytest.mark.parametrize(("name", "num_items"), [("medqa", 12), ("mmlu-anatomy", 10)])
def test_a_published_set_is_fetched_once_and_asked_without_the_network_afterwards(
    folder: Path, name: str, num_items: int
) -> None:
    with served() as endpoint:
        first = obtained(folder, name, endpoint=endpoint)
    assert REVISION in first["card"]["source"]
    assert [one["gold"] for one in first["items"]] == [n % 4 for n in range(num_items)]
    assert len(first["items"][0]["options"]) == 4
    assert [one.name for one in folder.iterdir()] == [name]
    assert obtained(folder, name, endpoint="http://127.0.0.1:9") == first


def test_a_hub_that_cannot_be_reached_is_one_sentence_with_a_way_out(folder: Path) -> None:
    found = obtained(folder, "medqa", endpoint="http://127.0.0.1:9")
    assert "cannot be reached" in found["message"]
    assert "medqa.jsonl" in found["hint"]
    assert not list(folder.iterdir())

"""A dataset of the hub is fetched through the vendor's own client, from a stand-in on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medqlora.data.hub import HubName
from medqlora.errors import DataError
from tests.data.hub_stand_in import GATED, REVISION, served

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with served() as address:
        yield address


def inspect(tmp_path: Path, endpoint: str, name: str) -> tuple[int, dict[str, Any], str]:
    # In a process of its own: the client reads the hub's address when it is imported.
    quiet = {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-m", "medqlora", "inspect", name, "--json", "--workspace", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), **quiet},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_dataset_is_read_like_a_file_and_its_origin_is_told(tmp_path: Path, endpoint: str) -> None:
    code, report, _ = inspect(tmp_path, endpoint, "hub:ward/pairs")
    assert code == 0, report
    assert (report["rows"], report["valid"], report["format"]) == (20, 20, "jsonl")
    assert report["mapping"]["prompt"] == ["question"]
    assert report["hub"] == {
        "dataset_id": "ward/pairs",
        "config": "default",
        "split": "train",
        "revision": REVISION,
        "licence": "cc-by-4.0",
        "splits": ["train", "test"],
    }
    assert not list((tmp_path / "uploads").iterdir())


def test_configuration_and_split_can_be_named(tmp_path: Path, endpoint: str) -> None:
    code, report, _ = inspect(tmp_path, endpoint, "hub:ward/two:short:train")
    assert (code, report["rows"]) == (0, 5)
    assert report["mapping"]["prompt"] == ["prompt"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hub:ward/two", "has these configurations: "),
        ("hub:ward/pairs::dev", "has these splits: train, test"),
        ("hub:ward/none", "no dataset ward/none"),
        (f"hub:{GATED}", "accepted its terms"),
        ("hub:ward/code", "no table"),
        ("hub:not a name", "not the name of a dataset"),
    ],
)
def test_what_cannot_be_fetched_is_one_sentence(
    tmp_path: Path, endpoint: str, name: str, says: str
) -> None:
    code, report, _ = inspect(tmp_path, endpoint, name)
    assert code == 2
    assert says in report["error"]["message"]
    assert report["error"]["hint"]
    assert not (ROOT / "ran").exists()


def test_hub_that_cannot_be_reached_is_one_sentence(tmp_path: Path) -> None:
    code, report, _ = inspect(tmp_path, "http://127.0.0.1:9", "hub:ward/pairs")
    assert code == 2
    assert report["error"]["message"] == "The hub cannot be reached or does not answer."


def test_mistyped_path_is_never_looked_up_on_the_hub(tmp_path: Path, endpoint: str) -> None:
    code, report, _ = inspect(tmp_path, endpoint, "ward/pairs")
    assert code == 2
    assert "not a file that exists" in report["error"]["message"]


@pytest.mark.parametrize("text", ["", "name", "a/b/c", "../b", "a/..", "a/b:c:d:e", "http://a/b"])
def test_names_are_checked_before_anything_is_asked(text: str) -> None:
    with pytest.raises(DataError):
        HubName.parse(text)


def test_names_may_have_a_configuration_and_a_split() -> None:
    assert HubName.parse("a/b") == HubName("a/b")
    assert HubName.parse("hub:a/b:c:d") == HubName("a/b", "c", "d")
    assert HubName.parse("a/b::d") == HubName("a/b", "", "d")

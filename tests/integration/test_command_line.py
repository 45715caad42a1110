"""The command line: one JSON document, exit codes that mean something, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medqlora.persistence.workspace import Workspace
from tests.conftest import SHARED_DATA

ROOT = Path(__file__).parents[2]


def run(workspace: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "medqlora", *arguments, "--json", "--workspace", str(workspace)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_inspect_counts_what_is_in_a_file(tmp_path: Path, qa_file: Path) -> None:
    code, document, _ = run(tmp_path, "inspect", str(qa_file))
    assert code == 0
    assert (document["rows"], document["valid"], document["format"]) == (40, 40, "jsonl")


@pytest.mark.skipif(
    not SHARED_DATA.is_dir(), reason="the shared data files are not beside the repo"
)
def test_inspect_reads_pubmedqa_as_it_comes(tmp_path: Path) -> None:
    code, document, _ = run(tmp_path, "inspect", str(SHARED_DATA / "pubmedqa_ori_pqal.json"))
    assert code == 0
    assert (document["rows"], document["valid"], document["max_chars"]) == (1000, 1000, 947)


def test_columns_that_cannot_be_told_ask_for_a_mapping(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    rows = "".join(f"What is sign {n}?,A usual finding.\n" for n in range(3))
    table.write_text(f"alpha,beta\n{rows}", encoding="utf-8")
    code, document, _ = run(tmp_path, "inspect", str(table))
    assert code == 2
    assert document["error"]["code"] == "mapping_needed"
    assert document["error"]["columns"] == ["alpha", "beta"]
    code, document, _ = run(tmp_path, "inspect", str(table), "--map", "prompt=alpha,response=beta")
    assert code == 0
    assert document["valid"] >= 3


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('{"rank": 0}', "rank must be a whole number between 4 and 128, got 0."),
        ('{"rnak": 8}', "There is no setting 'rnak'."),
        ("[1, 2]", "does not hold a JSON object"),
        ("not json", "cannot be read as JSON"),
        ('{"model_name": "../../etc"}', "not the name of a model"),
        ('{"dataset": "no-such-file.csv"}', "no-such-file.csv"),
        ('{"eval_share": "much"}', "eval_share"),
        ('{"map": 5}', "map"),
        ('{"dataset": 7}', "dataset"),
    ],
)
def test_a_mistake_in_the_settings_is_one_sentence_and_exit_code_2(
    tmp_path: Path, settings: str, says: str
) -> None:
    config = tmp_path / "config.json"
    config.write_text(settings, encoding="utf-8")
    code, document, _ = run(tmp_path / "workspace", "train", "--config", str(config))
    assert code == 2
    assert says in document["error"]["message"]
    assert document["error"]["hint"]


def test_a_run_is_trained_stopped_never_twice_evaluated_and_compared(
    tmp_path: Path, tiny_workspace: Workspace, qa_file: Path
) -> None:
    config = tmp_path / "config.json"
    settings = {"dataset": str(qa_file), "rank": 4, "max_steps": 4, "learning_rate": 1e-3}
    config.write_text(json.dumps(settings), encoding="utf-8")
    run_dir = tmp_path / "My Run"
    workspace = tiny_workspace.root

    code, trained, log = run(workspace, "train", "--config", str(config), "--run-dir", str(run_dir))
    assert code == 0
    assert trained["state"] == "succeeded"
    assert trained["metrics"]["steps"] == 4
    assert "step 4 of 4" in log
    assert (run_dir / "adapter" / "adapter_model.safetensors").is_file()

    code, document, _ = run(workspace, "resume", str(run_dir))
    assert (code, document["error"]["code"]) == (2, "persistence_error")
    code, document, _ = run(workspace, "train", "--config", str(config), "--run-dir", str(run_dir))
    assert (code, document["error"]["code"]) == (2, "persistence_error")

    code, evaluated, _ = run(
        workspace, "evaluate", str(run_dir), "--limit", "2", "--max-new-tokens", "6"
    )
    assert code == 0
    assert len(evaluated["items"]) == 2
    code, compared, _ = run(
        workspace, "compare", str(run_dir), "What is fever?", "--max-new-tokens", "6"
    )
    assert code == 0
    assert compared["base_tokens"] > 0
    assert compared["fine_tuned_tokens"] > 0


def test_a_folder_that_is_not_a_run_is_named(tmp_path: Path) -> None:
    code, document, _ = run(tmp_path / "workspace", "resume", str(tmp_path))
    assert code == 2
    assert "not the folder of a run" in document["error"]["message"]

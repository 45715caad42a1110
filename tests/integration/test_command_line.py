"""The command line: one JSON document, exit codes that mean something, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medqlora.persistence.storage_address import StorageAddress
from medqlora.persistence.workspace import Workspace
from medqlora.runs.courier import Courier
from tests.conftest import SHARED_DATA
from tests.mirrored_runs import FakeRun
from tests.services.importing import PHONE, file_with_patients

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


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_goes_away_is_met_with_silence(tmp_path: Path, form: list[str]) -> None:
    for number in range(3):
        FakeRun.begin(Workspace.open(tmp_path), f"20261122-10150{number}-pairs-0001")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "medqlora", "runs", *form, "--workspace", str(tmp_path)],
            cwd=ROOT,
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")


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
    assert "--map prompt=COLUMN" in document["error"]["hint"]
    assert document["error"]["candidates"][0]["response"] == "beta"
    assert "finding" not in json.dumps(document)
    code, document, _ = run(tmp_path, "inspect", str(table), "--map", "prompt=alpha,response=beta")
    assert code == 0
    assert document["valid"] >= 3


def test_inspect_writes_a_report_and_reuses_a_mapping(tmp_path: Path) -> None:
    table, report = tmp_path / "table.csv", tmp_path / "report.csv"
    table.write_text("alpha,beta\nWhat is it?,A usual <br> finding.\n", encoding="utf-8")
    given = ("inspect", str(table), "--map", "prompt=alpha,response=beta")
    code, document, _ = run(tmp_path, *given, "--report", str(report))
    assert code == 0
    assert "line 2" in report.read_text(encoding="utf-8")
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps(document), encoding="utf-8")
    code, again, _ = run(tmp_path, "inspect", str(table), "--map-file", str(saved))
    assert (code, again) == (0, document)
    code, document, _ = run(tmp_path, *given, "--report", str(tmp_path / "report.doc"))
    assert (code, document["error"]["code"]) == (2, "config_error")


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
    exam = tmp_path / "exam.csv"
    rows = "".join(f"Which is sign {n}?,red,green,{'AB'[n % 2]}\n" for n in range(12))
    exam.write_text(f"question,A,B,answer\n{rows}", encoding="utf-8")
    code, planned, _ = run(
        workspace, "benchmark", str(run_dir), "--file", str(exam), "--items", "8", "--plan"
    )
    assert code == 0
    assert planned["added"]["num_items"] == 12
    assert [(one["name"], one["num_items"]) for one in planned["plan"]] == [("own-exam", 8)]
    code, examined, log = run(
        workspace, "benchmark", str(run_dir), "--name", "own-exam", "--items", "8"
    )
    assert code == 0
    [result] = examined["benchmarks"]
    assert (result["comparison"]["n"], result["chance"]) == (8, 0.5)
    assert "8 questions show differences" in log
    code, document, _ = run(workspace, "benchmark", "--resume", examined["run_id"])
    assert (code, document["error"]["code"]) == (2, "persistence_error")
    code, document, _ = run(workspace, "benchmark", str(run_dir), "--name", "usmle")
    assert (code, document["error"]["code"]) == (2, "evaluation_error")
    assert "medqa" in document["error"]["hint"]
    code, document, _ = run(workspace, "benchmark", str(run_dir))
    assert (code, document["error"]["code"]) == (2, "config_error")
    code, document, _ = run(workspace, "benchmark")
    assert code == 0
    assert [one["name"] for one in document["benchmarks"]][-1] == "own-exam"

    code, compared, _ = run(
        workspace, "compare", str(run_dir), "What is fever?", "--max-new-tokens", "6"
    )
    assert code == 0
    assert compared["base_tokens"] > 0
    assert compared["fine_tuned_tokens"] > 0

    for more, name in (([], "adapter-My Run.zip"), (["--merged"], "My Run")):
        taken = ["export", str(run_dir), "--to", str(tmp_path / "taken"), *more]
        code, document, _ = run(workspace, *taken)
        assert (code, document["path"]) == (0, str(tmp_path / "taken" / name))
        assert document["size_bytes"] > 10_000
    code, document, _ = run(workspace, *taken)
    assert (code, document["error"]["code"]) == (2, "persistence_error")


def test_train_asks_what_to_do_with_phi_before_anything_else(
    tmp_path: Path, tiny_workspace: Workspace
) -> None:
    data = str(file_with_patients(tmp_path))
    workspace = tiny_workspace.root
    code, document, log = run(workspace, "train", "--data", data)
    assert code == 2
    assert document["error"]["code"] == "phi_decision_needed"
    assert document["error"]["phi"]["phone"] == 4
    assert "--phi mask" in document["error"]["hint"]
    assert PHONE not in json.dumps(document) + log
    keep = ("train", "--data", data, "--phi", "keep")
    code, document, _ = run(workspace, *keep)
    assert (code, document["error"]["code"]) == (2, "data_error")
    assert "typed confirmation" in document["error"]["message"]
    assert not list(tiny_workspace.datasets.iterdir())

    config = tmp_path / "config.json"
    config.write_text('{"max_steps": 1, "rank": 4}', encoding="utf-8")
    code, document, log = run(
        workspace, "train", "--data", data, "--phi", "mask", "--config", str(config)
    )
    assert (code, document["state"]) == (0, "succeeded")
    run_dir = Path(document["run_dir"])
    assert PHONE not in (run_dir / "data" / "train.jsonl").read_text(encoding="utf-8")
    record = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))["dataset"]["screening"]
    assert (record["action"], record["rows_touched"]) == ("mask", 4)


def test_a_folder_that_is_not_a_run_is_named(tmp_path: Path) -> None:
    code, document, _ = run(tmp_path / "workspace", "resume", str(tmp_path))
    assert code == 2
    assert "not the folder of a run" in document["error"]["message"]


def test_a_run_is_listed_in_the_mirror_and_brought_back(tmp_path: Path) -> None:
    old = Workspace.open(tmp_path / "old")
    interrupted = FakeRun.begin(old)
    interrupted.save(10)
    place = tmp_path / "drive"
    address = StorageAddress.parse(str(place))
    Courier(old).send("push", address, interrupted.folder)

    new = tmp_path / "new"
    code, document, _ = run(new, "mirror", "--mirror", str(place))
    assert code == 0
    [listed] = document["runs"]
    assert (listed["run_id"], listed["step"], listed["is_here"]) == (
        interrupted.run_id,
        10,
        False,
    )
    code, document, _ = run(new, "restore")  # the workspace remembers its mirror
    assert code == 0
    assert (document["run_id"], document["step"], document["can_resume"]) == (
        interrupted.run_id,
        10,
        True,
    )
    code, document, _ = run(new, "restore", interrupted.run_id)
    assert code == 2
    assert document["error"]["hint"].startswith("Nothing was overwritten")


@pytest.mark.parametrize(
    ("mirror", "says"),
    [
        ((), "has no mirror"),
        (("--mirror", "s4://bucket"), "no storage that this app can open"),
        (("--mirror", "/nowhere/at/all"), "no mirror at this place"),
    ],
)
def test_a_mirror_that_has_nothing_is_said(
    tmp_path: Path, mirror: tuple[str, ...], says: str
) -> None:
    code, document, _ = run(tmp_path / "workspace", "restore", *mirror)
    assert code == 2
    assert says in document["error"]["message"]

"""What the machine refuses: no space, no access, a workspace that is taken. One sentence each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medqlora.errors import SessionError, StorageUnavailableError
from medqlora.persistence.workspace import Workspace, child
from medqlora.services import claim_workspace

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "medqlora", *arguments, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def test_no_space_for_the_model_is_said_with_the_way_out(tmp_path: Path, small_disk: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"dataset": "sample", "max_steps": 1}', encoding="utf-8")
    code, document = run("train", "--config", str(config), "--workspace", str(small_disk))
    assert code == 1
    assert document["error"]["code"] == "disk_full"
    assert "needs 400 MB" in document["error"]["message"]
    assert "--workspace" in document["error"]["hint"]
    # Nothing half-made stays, and the run can be resumed once there is space.
    assert list((small_disk / "models").iterdir()) == []
    code, listed = run("runs", "--workspace", str(small_disk))
    assert code == 0
    assert listed["runs"][0]["can_resume"]


def test_a_workspace_that_cannot_be_made_is_said_by_both_commands(tmp_path: Path) -> None:
    file = tmp_path / "a-file"
    file.touch()
    code, document = run("runs", "--workspace", str(file / "workspace"))
    assert code == 2
    assert document["error"]["code"] == "storage_unavailable"
    app = [sys.executable, "app.py", "--no-install", "--port", "7999", "--workspace", str(file)]
    done = subprocess.run(app, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--workspace DIR" in done.stderr


def test_a_workspace_has_one_server(workspace: Workspace) -> None:
    claim_workspace(workspace)
    with pytest.raises(SessionError, match="Another server"):
        claim_workspace(workspace)


@pytest.mark.parametrize("name", ["..", "../runs", "/etc", "a/b", "", "x" * 81, "Ünïcode", "a\0b"])
def test_an_id_from_outside_never_becomes_a_path(workspace: Workspace, name: str) -> None:
    with pytest.raises(StorageUnavailableError):
        child(workspace.runs, name)

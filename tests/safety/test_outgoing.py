"""Nothing leaves the machine unless asked: every connection of every process is written down.

Python's own audit hook sees what Python code connects to; what compiled code does by itself it does
not see.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medqlora.models import embedded
from medqlora.persistence.workspace import Workspace
from tests.page_client import PageClient
from tests.running_app import ROOT, App, free_port
from tests.waiting import wait_until

WATCHED = Path(__file__).parent / "watched"
# This machine's names, and sockets in its file system.
LOCAL = re.compile(r" (b?'(127\.[\d.]+|localhost|::1|0\.0\.0\.0|/.*|)'|None)$")


@pytest.fixture
def connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processes that are started from now on write their connections."""
    path = tmp_path / "connections.txt"
    path.touch()
    monkeypatch.setenv("MEDQLORA_TEST_CONNECTIONS", str(path))
    monkeypatch.setenv("PYTHONPATH", f"{WATCHED}{os.pathsep}{ROOT}")
    # What a library asks for when nobody has forbidden it has to be seen.
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    return path


def outgoing(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not LOCAL.search(line)]


def said_by_imports(workspace: Workspace) -> str:
    return "".join(one.read_text() for one in workspace.imports.glob("*/events.jsonl"))


def test_the_watcher_sees_a_connection(connections: Path) -> None:
    code = "import socket; s = socket.socket(); s.settimeout(.1); s.connect(('192.0.2.1', 9))"
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert len(outgoing(connections)) == 1


def test_a_page_a_training_an_evaluation_and_a_chat_talk_to_this_machine_alone(
    connections: Path, tiny_model: Path, tmp_path: Path
) -> None:
    workspace = Workspace.open(tmp_path / "workspace")
    shutil.copytree(tiny_model, embedded.folder(workspace.models))
    app = App(workspace.root, free_port())
    app.start()
    try:
        page = PageClient(app.url)
        page.do("dataset-use-sample", "click")
        wait_until(lambda: "run_succeeded" in said_by_imports(workspace), seconds=120)
        page.close()
    finally:
        app.stop()

    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"dataset": "sample", "max_steps": 2, "rank": 4, "alpha": 8}))
    place = ["--workspace", str(workspace.root), "--json"]

    def command(*arguments: str) -> dict[str, object]:
        done = subprocess.run(
            [sys.executable, "-m", "medqlora", *arguments, *place],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    run_id = str(command("train", "--config", str(settings))["run_id"])
    command("evaluate", run_id, "--limit", "1", "--max-new-tokens", "4")
    command("compare", run_id, "What is asthma?", "--max-new-tokens", "4")
    assert outgoing(connections) == []

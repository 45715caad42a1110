"""Fixtures that several folders share.

A workspace, and a real model small enough to train in seconds.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from medqlora.models import embedded
from medqlora.persistence.workspace import Workspace
from medqlora.services import Services
from tests.tiny_model import build_tiny_model, build_tiny_picture_model
from tests.waiting import wait_for_end

# Threads that wait for each other crawl on a machine that is shared. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a two-layer Llama with a tokenizer and a chat template."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    build_tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_picture_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small Gemma 3 that also reads pictures."""
    folder = tmp_path_factory.mktemp("pictures") / "model"
    build_tiny_picture_model(folder)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return Workspace.open(tmp_path / "workspace")


@pytest.fixture
def tiny_workspace(workspace: Workspace, tiny_model: Path) -> Workspace:
    """A workspace in which the tiny model lies where the embedded one would be unpacked."""
    shutil.copytree(tiny_model, embedded.folder(workspace.models))
    return workspace


@pytest.fixture
def services(tiny_workspace: Workspace) -> Iterator[Services]:
    """Services of a workspace with the tiny model; what still runs at the end is stopped."""
    services = Services.open(tiny_workspace.root)
    yield services
    services.close()
    run_id = services.training.current()
    if run_id:
        services.training.stop(run_id)
        wait_for_end(services.training, run_id)


@pytest.fixture
def qa_file(tmp_path: Path) -> Path:
    """Forty question-answer pairs as JSONL."""
    path = tmp_path / "pairs.jsonl"
    rows = [
        {
            "question": f"What does lab value {i} mean?",
            "answer": f"Value {i} is within its usual range.",
        }
        for i in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path

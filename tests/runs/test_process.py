"""A worker depends on nothing of the process that starts it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from medqlora.runs.process import PROJECT_ROOT, start_worker


def test_a_worker_outlives_the_folder_that_its_server_worked_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = tmp_path / "private"
    working.mkdir()
    monkeypatch.chdir(working)
    with (tmp_path / "said").open("w+") as said:
        worker = start_worker(
            "code", ["-q"], stdin=subprocess.PIPE, stdout=said, stderr=subprocess.DEVNULL
        )
        working.rmdir()
        worker.communicate("import os; print(os.getcwd())\n", timeout=30)
        said.seek(0)
        assert str(PROJECT_ROOT) in said.read()

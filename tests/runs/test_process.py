"""A worker depends on nothing of the process that starts it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil
import pytest

from medqlora.runs.process import PROJECT_ROOT, record_process, recorded_process, start_worker


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


def test_a_worker_is_known_after_the_clock_was_set_and_its_number_alone_is_not_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "worker.json"
    with psutil.Popen(["sleep", "60"]) as worker:
        record_process(record, worker)
        # The kernel tells when it was booted by the clock of now; a test must not set that one.
        booted = psutil.boot_time()
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 3600)
        assert recorded_process(record) == worker
        content = record.read_text()
        for changed in ('"started_ticks": 1', '"boot": "0'):
            record.write_text(content.replace(changed[:-1], changed))
            assert recorded_process(record) is None
        record.write_text(content)
        worker.kill()
        worker.wait()
    assert recorded_process(record) is None

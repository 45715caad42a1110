"""The lease: one holder, named to whoever is refused, and free again however the holder ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from medqlora.errors import GpuBusyError
from medqlora.runs.gpu_lease import GpuLease

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_second_job_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    lease = GpuLease.acquire(tmp_path / "lock", holder="run-1")
    with pytest.raises(GpuBusyError, match="run-1") as refused:
        GpuLease.acquire(tmp_path / "lock", holder="run-2")
    assert refused.value.holder == "run-1"
    lease.close()
    GpuLease.acquire(tmp_path / "lock", holder="run-2").close()


def test_a_worker_keeps_the_lease_that_it_inherited(tmp_path: Path) -> None:
    lease = GpuLease.acquire(tmp_path / "lock", holder="run-1")
    worker = subprocess.Popen(SLEEPER, pass_fds=(lease.descriptor,))
    lease.close()
    with pytest.raises(GpuBusyError):
        GpuLease.acquire(tmp_path / "lock", holder="run-2")
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    GpuLease.acquire(tmp_path / "lock", holder="run-2").close()


def test_a_process_that_was_not_given_the_lease_does_not_keep_it(tmp_path: Path) -> None:
    lease = GpuLease.acquire(tmp_path / "lock", holder="run-1")
    bystander = subprocess.Popen(SLEEPER)
    lease.close()
    GpuLease.acquire(tmp_path / "lock", holder="run-2").close()
    bystander.kill()
    bystander.wait()

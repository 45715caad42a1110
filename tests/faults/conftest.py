"""Fixtures of faults: a small disk, services on a tiny model, and workers that break."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.faulty_worker import Inject, injecting


@pytest.fixture
def inject(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inject]:
    """Sets how the workers to come break; see `tests.faults.injected.sitecustomize`."""
    yield from injecting(monkeypatch)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs the system's administrator")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)

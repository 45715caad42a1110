"""A Python of its own in which a stand-in of a vendor's module comes first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
GOOGLE = HERE / "google_stand_in"
HALF_GOOGLE = HERE / "half_google_stand_in"
PYNVML = HERE / "pynvml_stand_in"


def output_of(code: str, *stand_ins: Path, **environment: str) -> str:
    """What `code` prints, run with the stand-ins before everything else."""
    path = os.pathsep.join(map(str, [*stand_ins, PROJECT]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def recorded_calls(file: Path) -> list[dict[str, Any]]:
    """The calls that the stand-in of `google.colab` has seen."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

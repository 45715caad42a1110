"""Makes the workers that are started from now on break in a given way, for real.

The faults themselves are in `injected/sitecustomize.py`, which Python imports in the worker; the
product has no hook for them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Inject = Callable[..., None]
FOLDER = Path(__file__).parent / "injected"


def injecting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inject]:
    """A function that sets the fault of the workers to come; without arguments it takes it away."""
    path = os.pathsep.join([str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)

    def inject(kind: str = "", **about: Any) -> None:
        monkeypatch.setenv("INJECTED_FAULT", json.dumps({"kind": kind, **about} if kind else {}))

    inject()
    yield inject

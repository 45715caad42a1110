"""Ten kills with -9 at random moments lose nothing; `tests.benchmarks.kills` does fifty."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from medqlora.persistence.workspace import Workspace
from medqlora.services import Services
from tests.benchmarks.kills import Series


@pytest.mark.slow
def test_a_run_that_is_killed_ten_times_ends_as_if_nothing_had_happened(
    tiny_workspace: Workspace, qa_file: Path
) -> None:
    seed = int(os.environ.get("MEDQLORA_KILLS_SEED", random.randrange(10**6)))
    print(f"MEDQLORA_KILLS_SEED={seed}")  # shown when it fails
    services = Services.open(tiny_workspace.root)
    card = services.datasets.prepare(qa_file)
    findings = Series(services, card.dataset_id, 10, seed).run()
    assert findings.is_flawless, findings
    assert findings.kills == 10
    assert findings.runs >= 1

"""Three minutes of training, stopping, resuming, refreshing and uploading: nothing grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.soak import soak

MINUTES = 3.0
MOST_MIB_A_MINUTE = 1.0


@pytest.mark.slow
def test_a_busy_server_stays_flat_and_leaves_nothing_behind(tmp_path: Path) -> None:
    found = soak(MINUTES, tmp_path)
    print(found)
    assert found.rounds >= 1
    assert found.memory_slope < MOST_MIB_A_MINUTE
    # What is open goes up and down within a round; the most of it must not grow.
    assert found.descriptors[1][1] <= found.descriptors[0][1] + 5
    assert found.threads[1][1] <= found.threads[0][1] + 5
    assert (found.zombies, found.orphans, found.wrong_ends, found.errors) == (0, 0, 0, ())

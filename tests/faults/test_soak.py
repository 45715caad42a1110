"""Three minutes of training, stopping, resuming, refreshing and uploading: nothing grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.soak import soak

MINUTES = 3.0
MOST_MIB_GROWN = 16.0
"""The server's memory grows in steps of 8 MiB now and then, and while the last of the remembered
pages make room for others: in three minutes that hides a slope. Half an hour shows it, see
`tests/README.md`; here, what is lost with each run or page would have to be large."""


@pytest.mark.slow
def test_a_busy_server_stays_flat_and_leaves_nothing_behind(tmp_path: Path) -> None:
    found = soak(MINUTES, tmp_path)
    print(found)
    assert found.rounds >= 1
    assert found.memory[1] - found.memory[0] < MOST_MIB_GROWN
    # What is open goes up and down within a round; the most of it must not grow.
    assert found.descriptors[1][1] <= found.descriptors[0][1] + 5
    assert found.threads[1][1] <= found.threads[0][1] + 5
    assert (found.zombies, found.orphans, found.wrong_ends, found.errors) == (0, 0, 0, ())

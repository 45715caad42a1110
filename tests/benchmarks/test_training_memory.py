"""What saves memory saves it, and the forecast that refuses runs is an upper bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from medqlora.models import embedded
from tests.benchmarks.training import measure


@pytest.mark.slow
def test_checkpointing_lowers_the_peak_and_the_forecast_is_not_exceeded(tmp_path: Path) -> None:
    embedded.unpack(tmp_path, on_progress=lambda phase, share: None)
    usual = measure(tmp_path, {}, steps=3)
    checkpointed = measure(tmp_path, {"gradient_checkpointing": True}, steps=3)
    assert checkpointed.peak_gib < usual.peak_gib
    for one in (usual, checkpointed):
        assert one.peak_gib <= one.forecast_gib

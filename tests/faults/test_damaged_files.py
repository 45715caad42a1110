"""A good file of any format, damaged anywhere, is read or refused: never another error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medqlora.data.loader import MedicalDatasetLoader
from medqlora.errors import DataError
from tests.data.test_formats import CONTENTS

FORMATS = ["indented array", "sharegpt", "csv", "csv in UTF-16", "xml", "parquet", "xlsx"]
FORMATS += ["gzip", "zip", "zip of gzips", "gzip of parquet"]


@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_noticed_or_harmless(tmp_path: Path, name: str) -> None:
    content = CONTENTS[name]
    whole = content.encode() if isinstance(content, str) else content

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        cut=st.integers(0, len(whole)),
        flips=st.lists(
            st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), min_size=1, max_size=8
        ),
        is_cut=st.booleans(),
    )
    def damaged(cut: int, flips: list[tuple[int, int]], is_cut: bool) -> None:
        changed = bytearray(whole)
        for position, byte in flips:
            changed[position] = byte
        path = tmp_path / "damaged.bin"
        path.write_bytes(changed[:cut] if is_cut else changed)
        try:
            counts = MedicalDatasetLoader(scratch=tmp_path).read(path).counts
            outcome = "read" if counts.rows >= counts.valid else "miscounted"
        except DataError as error:
            outcome = str(error)
        assert outcome == "read" or (outcome.endswith(".") and "\n" not in outcome)
        assert [one.name for one in tmp_path.iterdir()] == ["damaged.bin"]

    damaged()

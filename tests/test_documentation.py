"""The README is true: what it names exists, and what exists is named."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from medqlora.__main__ import main
from medqlora.domain.dataset import ValidationCounts

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ALLOWED_AT_THE_TOP = {
    "app.py",
    "medqlora",
    "ui",
    "tests",
    "requirements.txt",
    "requirements-cpu.txt",
    "colab_launcher.ipynb",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "pyproject.toml",
}


def test_every_picture_of_the_readme_exists() -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert len(pictures) >= 6
    for picture in pictures:
        assert (ROOT / picture).stat().st_size > 10_000, picture


def test_every_folder_of_the_file_map_exists_and_none_is_missing() -> None:
    named = set(re.findall(r"^  (\w+)/ ", README, flags=re.MULTILINE))
    there = {path.parent.name for path in (ROOT / "medqlora").glob("*/__init__.py")}
    assert named == there


def test_every_command_of_the_command_line_is_in_the_readme(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    (\w+)  ", capsys.readouterr().out, flags=re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        assert f"python -m medqlora {command}" in README


def test_every_count_of_the_report_is_explained() -> None:
    for one in fields(ValidationCounts):
        assert f"`{one.name}`" in README, one.name


def test_it_says_what_it_is_not() -> None:
    assert "not a medical device" in README
    assert "de-identified" not in README


def test_nothing_else_lies_at_the_top() -> None:
    there = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert there <= ALLOWED_AT_THE_TOP | {"__pycache__"}


def test_every_folder_of_tests_is_in_the_table_of_kinds() -> None:
    text = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (unit|integration|performance|safety) \| (.+?) \|", text, flags=re.MULTILINE
    )
    assert {kind for kind, _ in rows} == {"unit", "integration", "performance", "safety"}
    named = [folder for _, folders in rows for folder in re.findall(r"`(\w+)`", folders)]
    there = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
    assert sorted(named) == sorted(there)

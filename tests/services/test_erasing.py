"""Deleting everything: nothing of a user stays in the workspace; what stays elsewhere is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medqlora.errors import AccessError
from medqlora.persistence.workspace import Workspace
from medqlora.services import Services
from medqlora.services.erasing import CONFIRMATION, erase_everything
from tests.services.reviewing import EVALUATION, pairs, write_evaluation

SECRET = b"Quorvex"


def kept_in(workspace: Workspace) -> list[str]:
    """The files that still tell of the user."""
    files = (one for one in workspace.root.rglob("*") if one.is_file())
    return [one.name for one in files if SECRET in one.read_bytes()]


def test_nothing_of_any_kind_of_job_or_review_is_left(workspace: Workspace) -> None:
    services = Services.open(workspace.root)
    write_evaluation(workspace, pairs(4))
    services.review.make(EVALUATION, num_items=4, shows_reference=False, seed=5)
    folders = [one for one in workspace.root.iterdir() if one.is_dir() and one != workspace.models]
    assert {one.name for one in folders} >= {"exams", "panels", "reviews", "benchmarks", "runs"}
    for folder in (*folders, workspace.panel_items, workspace.outbox):
        (folder / "one").mkdir(parents=True)
        (folder / "one" / "rows.jsonl").write_bytes(SECRET)
        (folder / "loose.csv").write_bytes(SECRET)
    (workspace.models / "own").mkdir()
    assert len(kept_in(workspace)) == 2 * (len(folders) + 2)
    told = erase_everything(services, CONFIRMATION)
    assert kept_in(workspace) == []
    assert services.review.reviews() == ()
    assert (workspace.models / "own").is_dir()
    assert f"{2 * (len(folders) + 2) + 2} folders and files were deleted" in told.message


def test_a_link_out_of_the_workspace_is_removed_and_not_followed(
    workspace: Workspace, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_bytes(SECRET)
    (workspace.runs / "link").symlink_to(outside)
    erase_everything(Services.open(workspace.root), CONFIRMATION)
    assert (outside / "mine.txt").read_bytes() == SECRET
    assert not os.path.lexists(workspace.runs / "link")


def test_the_shared_cache_of_the_hub_is_named_and_left(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "hub"
    (cache / "models--someone--tiny").mkdir(parents=True)
    monkeypatch.setattr("medqlora.services.erasing.HF_HUB_CACHE", str(cache))
    told = erase_everything(Services.open(workspace.root), CONFIRMATION)
    assert any(str(cache) in one for one in told.remains)
    assert (cache / "models--someone--tiny").is_dir()
    monkeypatch.setattr("medqlora.services.erasing.HF_HUB_CACHE", str(tmp_path / "none"))
    told = erase_everything(Services.open(workspace.root), CONFIRMATION)
    assert not any("model hub" in one for one in told.remains)


def test_without_the_words_nothing_is_deleted(workspace: Workspace) -> None:
    (workspace.datasets / "kept.csv").write_bytes(SECRET)
    with pytest.raises(AccessError):
        erase_everything(Services.open(workspace.root), "delete")
    assert kept_in(workspace) == ["kept.csv"]

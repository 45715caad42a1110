"""A reviewer fetches the conversation that was saved in a tab of their own, and no other file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from medqlora.persistence.workspace import Workspace
from tests.attacks.visits import call, handler_of, visitor
from tests.running_app import App, free_port

NAME = "compare-20261122-101530-3f9a.html"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app that others can reach, whose temporary folder is known here."""
    folder = tmp_path_factory.mktemp("downloads")
    (folder / "tmp").mkdir()
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder / "tmp")
    app = App(Workspace.open(folder / "workspace").root, free_port(), ("--host", "0.0.0.0"))
    app.start()
    yield app
    app.stop()
    os.environ.pop("TMPDIR") if before is None else os.environ.update(TMPDIR=before)


@pytest.fixture(scope="module")
def files(app: App) -> Path:
    """The folder that Gradio may serve."""
    [private] = (app.workspace.parent / "tmp").glob("medqlora-page-*")
    return private / "files"


def saved(files: Path, client: httpx.Client, tab: str, *, event: str = "compare-clear") -> Path:
    """A file as saving leaves it, for a tab that the visitor has spoken for."""
    handler = handler_of(client.get("config").json(), event)
    assert call(client, handler, session_hash=tab).status_code == 200
    path = files / "of-tabs" / tab / NAME
    path.parent.mkdir(parents=True)
    path.write_text(f"what {tab} said")
    return path


def fetched(client: httpx.Client, path: str | Path) -> httpx.Response:
    return client.get(f"gradio_api/file={path}")


def test_a_reviewer_gets_their_own_file_and_not_that_of_another(app: App, files: Path) -> None:
    one, two = visitor(app, "reviewer"), visitor(app, "reviewer")
    own, other = saved(files, one, "tab-of-one"), saved(files, two, "tab-of-two")
    answer = fetched(one, own)
    assert (answer.status_code, answer.text) == (200, "what tab-of-one said")
    assert fetched(one, other).status_code == 403
    assert fetched(two, own).status_code == 403
    assert fetched(two, other).status_code == 200


def test_a_reviewer_gets_nothing_that_the_owner_made_or_uploaded(app: App, files: Path) -> None:
    owner, reviewer = visitor(app, "owner"), visitor(app, "reviewer")
    of_owner = saved(files, owner, "tab-of-owner")
    own = saved(files, reviewer, "tab-of-reviewer")
    others = [files / "exports" / "tmp1" / "report.csv", files / "ab12" / "upload.csv"]
    for one in others:
        one.parent.mkdir(parents=True)
        one.write_text("an owner's")
        assert fetched(owner, one).status_code == 200
    (own.parent / "deeper").mkdir()
    (own.parent / "deeper" / "a.txt").write_text("deeper")
    (own.parent / "link.txt").symlink_to(others[0])
    assert fetched(owner, of_owner).status_code == 200
    tricks = [
        of_owner,
        *others,
        own.parent / "deeper" / "a.txt",
        own.parent / "link.txt",
        own.parent,
        f"{own.parent}/../tab-of-owner/{NAME}",
        quote(f"{own.parent}/../tab-of-owner/{NAME}", safe=""),
        quote(quote(f"{own.parent}/../tab-of-owner/{NAME}", safe=""), safe=""),
        f"{own}%00",
        f"{own}{'x' * 3000}",
        f"{own.parent}/{'x/' * 3000}",
        "/\N{WATERMELON}" * 80,
        f"{own.parent}/%2e%2e/tab-of-owner/{NAME}",
        f"{app.workspace}/audit.jsonl",
        "/etc/passwd",
        "https://127.0.0.1/",
    ]
    for one in tricks:
        answer = fetched(reviewer, one)
        assert answer.status_code in (400, 403, 404), one
        assert "owner" not in answer.text.replace("Only the owner may do this.", "")


def test_a_reviewer_cannot_speak_for_a_tab_to_get_its_file(app: App, files: Path) -> None:
    owner, reviewer = visitor(app, "owner"), visitor(app, "reviewer")
    path = saved(files, owner, "tab-that-is-known")
    handler = handler_of(reviewer.get("config").json(), "compare-clear")
    claim = call(reviewer, handler, session_hash="tab-that-is-known")
    assert claim.status_code == 403
    assert fetched(reviewer, path).status_code == 403

"""A reviewer asks both models in a browser, and saves what was said."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from medqlora.models import embedded
from medqlora.persistence.workspace import Workspace
from medqlora.services.library import LibraryService
from tests.attacks.test_foreign_adapters import Zip
from tests.attacks.visits import printed, visitor
from tests.browser.viewer import JOB_MS, PAGE_MS
from tests.running_app import App, free_port


@pytest.fixture(scope="module")
def app(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app that others can reach, with an adapter to ask."""
    folder = tmp_path_factory.mktemp("saving")
    workspace = Workspace.open(folder / "workspace")
    shutil.copytree(tiny_model, embedded.folder(workspace.models))
    LibraryService(workspace).import_adapter(Zip(folder).plain().closed())
    app = App(workspace.root, free_port(), ("--host", "0.0.0.0"))
    app.start()
    yield app
    app.stop()


def test_a_reviewer_saves_a_conversation_and_nobody_else_gets_it(
    app: App, browser: Any, tmp_path: Path
) -> None:
    page = browser.new_context().new_page()
    page.set_default_timeout(PAGE_MS)
    page.goto(f"{app.url}enter?key={printed(app, 'reviewer').token}")
    page.fill("#compare-prompt textarea", "What is gout?")
    page.click("#compare-send:not([disabled])")
    expect(page.locator("#compare-status")).to_contain_text("tokens", timeout=JOB_MS)
    for kind in ("html", "csv"):
        with page.expect_download() as asked:
            page.click(f"#compare-save-{kind}")
        saved = tmp_path / asked.value.suggested_filename
        asked.value.save_as(saved)
        assert saved.suffix == f".{kind}"
        assert "What is gout?" in saved.read_text()
        place = asked.value.url.partition("gradio_api/")[2]
        assert visitor(app, "reviewer").get(f"gradio_api/{place}").status_code == 403
    page.context.close()

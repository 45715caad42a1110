"""The page in a real browser behind its login: for the owner, for a reviewer, and what stays."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from medqlora.persistence.workspace import Workspace
from tests.attacks.visits import printed
from tests.browser.viewer import PAGE_MS, TABS
from tests.running_app import App, free_port


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app that others can reach."""
    workspace = Workspace.open(tmp_path_factory.mktemp("shared") / "workspace")
    app = App(workspace.root, free_port(), ("--host", "0.0.0.0"))
    app.start()
    yield app
    app.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Any]:
    """A browser of its own, and what it complained about."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PAGE_MS)
    opened.troubles = []
    opened.on("pageerror", lambda error: opened.troubles.append(f"exception: {error}"))
    opened.on(
        "console",
        lambda said: said.type in ("error", "warning") and opened.troubles.append(said.text),
    )
    yield opened
    context.close()


def enter(page: Any, app: App, role: str) -> None:
    page.goto(f"{app.url}enter?key={printed(app, role).token}")
    expect(page.locator("#tabs")).to_be_visible()


def test_the_form_takes_the_password_and_opens_the_page(shared: App, page: Any) -> None:
    page.goto(shared.url)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong or has expired")
    page.get_by_label("Password").fill(printed(shared, "owner").password)
    page.get_by_role("button", name="Sign in").click()
    for name in TABS:
        expect(page.locator(f"#tab-{name}-button")).to_be_visible()


def test_a_reviewer_sees_compare_and_nothing_fails(shared: App, page: Any) -> None:
    enter(page, shared, "reviewer")
    expect(page.locator("#tab-compare")).to_be_visible()
    expect(page.locator("#compare-status")).to_contain_text("no trained model yet")
    for name in TABS[:-1]:
        expect(page.locator(f"#tab-{name}-button")).to_have_count(0)
    expect(page.locator("#owner-panel")).to_have_count(0)
    expect(page.locator("#owner-review")).to_have_count(0)
    page.click("#compare-question input")
    page.get_by_role("option", name="What are the early signs of sepsis").click()
    expect(page.locator("#compare-prompt textarea")).not_to_have_value("")
    page.wait_for_timeout(2500)
    assert page.troubles == []
    expect(page.locator(".toast-body")).to_have_count(0)


def test_the_owner_shows_renews_and_ends_the_reviewers_link(
    shared: App, page: Any, browser: Browser
) -> None:
    enter(page, shared, "owner")
    page.click("#owner-panel > button")
    page.click("#owner-renew")
    expect(page.locator("#owner-link textarea, #owner-link input")).not_to_have_value("")
    link = page.locator("#owner-link textarea, #owner-link input").input_value()
    other = browser.new_context().new_page()
    other.goto(f"{shared.url}enter?key={link.partition('key=')[2]}")
    expect(other.locator("#tab-compare")).to_be_visible(timeout=PAGE_MS)
    page.click("#owner-look")
    expect(page.locator("#owner-people")).to_contain_text("has the page open")
    expect(page.locator("#owner-people")).to_contain_text("signed in")
    page.click("#owner-end")
    expect(page.locator("#owner-people")).not_to_contain_text("reviewer 2 has")
    other.goto(shared.url)
    expect(other.get_by_label("Password")).to_be_visible(timeout=PAGE_MS)
    other.context.close()
    assert page.troubles == []


def test_nothing_that_was_typed_stays_in_the_browser(shared: App, page: Any) -> None:
    enter(page, shared, "owner")
    page.click("#tab-compare-button")
    page.fill("#compare-prompt textarea", "Quorvexzibbandale has MRN 12345")
    page.click("#tab-dataset-button")
    page.wait_for_timeout(1000)
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "Quorvex" not in kept
    assert "12345" not in kept
    assert page.evaluate("document.cookie") == ""


def test_deleting_everything_leaves_no_data(shared: App, page: Any, tmp_path: Path) -> None:
    rows = "\n".join(f"What is Quorvex {n}?,It is number {n} indeed." for n in range(12))
    path = tmp_path / "pairs.csv"
    path.write_text(f"question,answer\n{rows}\n")
    enter(page, shared, "owner")
    page.set_input_files("#dataset-file input[type=file]", path)
    expect(page.locator("#dataset-notice")).to_contain_text("12 of 12 entries", timeout=PAGE_MS)
    page.click("#dataset-prepare:not([disabled])")
    expect(page.locator("#dataset-notice")).to_contain_text("is ready", timeout=PAGE_MS)
    page.click("#owner-panel > button")
    page.click("#owner-erase")
    expect(page.locator(".toast-body")).to_contain_text("Nothing was deleted")
    page.locator("#owner-erase-words textarea, #owner-erase-words input").fill("delete everything")
    page.click("#owner-erase")
    expect(page.locator("#owner-erased")).to_contain_text("were deleted", timeout=PAGE_MS)
    expect(page.locator("#owner-erased")).to_contain_text("What remains")
    left = [one for one in shared.workspace.rglob("*") if one.is_file()]
    assert not any(b"Quorvex" in one.read_bytes() for one in left)


def test_the_owner_brings_in_an_adapter_and_a_hostile_one_is_told_in_one_sentence(
    shared: App, page: Any, tmp_path: Path
) -> None:
    hostile = tmp_path / "adapter.zip"
    with zipfile.ZipFile(hostile, "w") as archive:
        archive.writestr("adapter_model.bin", b"x")
    enter(page, shared, "owner")
    page.click("#tab-compare-button")
    page.click("#owner-import > button")
    page.set_input_files("#owner-import-file input[type=file]", hostile)
    expect(page.locator("#owner-import-file")).to_contain_text("133.0 B")
    page.click("#owner-import-add")
    expect(page.locator(".toast-body")).to_contain_text("does not belong to an adapter")

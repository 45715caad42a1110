"""An exam of one's own, as a clinician takes both models through it in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.viewer import JOB_MS, Viewer


@pytest.fixture
def viewer(browser: Any, app: Any) -> Iterator[Viewer]:
    one = Viewer(browser, app.url)
    one.use_sample()
    one.set_steps(2)
    one.start()
    one.wait_for_end("Done")
    yield one
    one.close()


def exam(folder: Path, *, with_answers: bool) -> Path:
    path = folder / "night shift.jsonl"
    rows = [
        {"question": f"Which sign is number {n}?", "A": "red", "B": "green", "C": "blue"}
        | ({"answer": "ABC"[n % 3]} if with_answers else {})
        for n in range(12)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_file_of_ones_own_becomes_an_exam_with_a_verdict(viewer: Viewer, tmp_path: Path) -> None:
    page = viewer.page
    viewer.tab("evaluate")
    page.click("#evaluate-parts button[role=tab]:has-text('Exam questions')")
    page.click("#exam-add button:has-text('Add an exam')")
    page.set_input_files("#exam-file input[type=file]", exam(tmp_path, with_answers=False))
    expect(page.get_by_text("does not say which answers are right").first).to_be_visible()
    page.click("#exam-file button[aria-label='Clear']")

    page.set_input_files("#exam-file input[type=file]", exam(tmp_path, with_answers=True))
    viewer.see("exam-added", "12 questions are ready")
    expect(page.locator("#exam-names label:has-text('night shift') input")).to_be_checked()
    viewer.see("exam-plan", "about 40 points")
    page.click("#exam-start:not([disabled])")
    viewer.see("exam-progress", "12 of 12", within_ms=JOB_MS)
    viewer.see("exam-results", "night shift: 12 questions", within_ms=JOB_MS)
    viewer.see("exam-results", "difference")
    viewer.see("exam-results", "Guessing scores 33 %")
    with page.expect_download() as download:
        page.click("#exam-csv")
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert len(text.splitlines()) == 13
    # What Gradio's own file component says when something is put into it.
    assert not [one for one in viewer.troubles if "Method not implemented" not in one]

"""What a newcomer meets before anything is trained: the page, the data and the settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.viewer import PAGE_MS, TABS, Viewer


@pytest.fixture
def viewer(browser: Any, app: Any) -> Iterator[Viewer]:
    one = Viewer(browser, app.url)
    yield one
    one.close()


def write_csv(path: Path, header: str, rows: int = 12) -> Path:
    lines = [f"What is condition {n}?,It is number {n} of the list.,x{n}" for n in range(rows)]
    path.write_text("\n".join([header, *lines]))
    return path


def test_all_six_tabs_open_without_an_error_and_say_what_to_do(viewer):
    for name in TABS:
        viewer.tab(name)
        expect(viewer.page.locator(f"#tab-{name} .mq-lead")).to_be_visible()
        viewer.page.wait_for_timeout(500)
    assert viewer.troubles == []


def test_the_footer_always_says_that_this_is_not_a_medical_device(viewer):
    for name in TABS:
        viewer.tab(name)
        expect(viewer.page.locator("#footer footer")).to_be_in_viewport()
        expect(viewer.page.locator("#footer")).to_contain_text("not a medical device")


def test_nothing_is_fetched_from_another_machine(browser, app):
    one = Viewer(browser, app.url)
    asked = []
    one.page.on("request", lambda request: asked.append(request.url))
    one.open()
    one.tab("monitor")
    one.page.wait_for_timeout(2000)
    one.close()
    assert [url for url in asked if not url.startswith((app.url, "data:", "blob:", "about:"))] == []


def test_the_sample_is_one_press(viewer):
    viewer.use_sample()
    viewer.see("dataset-notice", "held out")
    viewer.see("dataset-table", "angina")
    viewer.page.get_by_role("tab", name="Chat", exact=True).click()
    viewer.see("dataset-chat", "angina")


def test_a_prepared_dataset_and_the_open_tab_survive_a_refresh(viewer):
    viewer.use_sample()
    viewer.tab("train")
    viewer.page.reload()
    expect(viewer.page.locator("#tab-train")).to_be_visible()
    viewer.see("train-plan", "steps of")
    viewer.tab("dataset")
    viewer.see("dataset-notice", "is ready")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8),
        ("empty.jsonl", b""),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_a_sentence_at_the_door(
    viewer, tmp_path, name, content
):
    (tmp_path / name).write_bytes(content)
    viewer.upload(tmp_path / name)
    toast = viewer.page.locator(".toast-body")
    expect(toast).to_contain_text(f"{name} is ")
    expect(toast).not_to_contain_text("Traceback")
    expect(toast).not_to_contain_text("HTTP")
    expect(toast).not_to_contain_text("Error")
    expect(viewer.page.locator("#dataset-file")).not_to_contain_text("Error")
    expect(viewer.page.locator("#dataset-prepare")).to_be_disabled()


def test_a_file_that_is_not_data_gets_one_plain_sentence(viewer, tmp_path):
    (tmp_path / "broken.json").write_bytes(b'[{"question": "What is')
    viewer.upload(tmp_path / "broken.json")
    expect(viewer.page.locator("#dataset-notice .mq-bad")).to_be_visible(timeout=PAGE_MS)
    said = viewer.text("dataset-notice")
    assert len(said) > 20
    assert "Traceback" not in said
    assert "Error" not in said
    expect(viewer.page.locator("#dataset-prepare")).to_be_disabled()


def test_a_file_of_ones_own_is_shown_then_prepared(viewer, tmp_path):
    viewer.upload(write_csv(tmp_path / "own.csv", "question,answer,note"))
    viewer.see("dataset-notice", "12 of 12 entries can be used")
    viewer.see("dataset-table", "What is condition 3?")
    viewer.page.click("#dataset-prepare:not([disabled])")
    viewer.see("dataset-notice", "own.csv is ready")


def test_a_file_that_is_taken_away_is_deleted_with_what_was_read_of_it(viewer, app, tmp_path):
    def copies():
        return list(Path("/tmp").glob(f"medqlora-page-{app.process.pid}-*/**/away.csv"))

    def readings():
        return {one.parent.name for one in app.workspace.glob("imports/*/draft")}

    before = readings()
    viewer.upload(write_csv(tmp_path / "away.csv", "question,answer,note"))
    viewer.see("dataset-notice", "12 of 12 entries can be used")
    assert len(copies()) == 1
    assert len(readings() - before) == 1
    viewer.page.click("#dataset-file button[aria-label='Clear']")
    viewer.see("dataset-notice", "away.csv was deleted from this machine")
    assert copies() == []
    assert readings() == before
    expect(viewer.page.locator("#dataset-prepare")).to_be_disabled()


def test_columns_that_say_nothing_are_asked_for(viewer, tmp_path):
    viewer.upload(write_csv(tmp_path / "mystery.csv", "alpha,beta,gamma"))
    viewer.see("dataset-notice", "Choose them under Columns")
    viewer.see("dataset-facts", "What is condition 0?")
    clear(viewer, "dataset-prompt")
    choose(viewer, "dataset-prompt", "alpha: What is condition 0?")
    choose(viewer, "dataset-response", "beta: It is number 0")
    viewer.page.click("#dataset-read-again")
    viewer.see("dataset-notice", "12 of 12 entries can be used")
    viewer.page.click("#dataset-prepare:not([disabled])")
    viewer.see("dataset-notice", "mystery.csv is ready")
    viewer.page.get_by_role("tab", name="Findings").click()
    viewer.see("dataset-findings", "You chose these columns")


def test_what_may_tell_who_a_patient_is_is_shown_masked_and_recorded(viewer, tmp_path):
    rows = [
        {
            "question": f"What does lab value {n} mean?",
            "answer": f"It is normal. Told to John Smith on 03/{n + 1:02d}/2023.",
        }
        for n in range(12)
    ]
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    viewer.upload(path)
    viewer.see("dataset-notice", "The PHI screen found something")
    viewer.page.get_by_role("tab", name="PHI screen").click()
    viewer.see("dataset-phi", "Names: 12 in 12 entries")
    viewer.page.click("#dataset-phi summary >> nth=0")
    expect(viewer.page.locator("#dataset-phi mark").first).to_have_text("John Smith")
    viewer.page.get_by_label("Keep everything as it is").check()
    viewer.page.click("#dataset-prepare:not([disabled])")
    viewer.see("dataset-notice", "keep patient data")
    viewer.page.get_by_label("Mask: replace each finding").check()
    viewer.page.click("#dataset-prepare:not([disabled])")
    viewer.see("dataset-notice", "notes.jsonl is ready")
    viewer.page.get_by_role("tab", name="Table").click()
    viewer.see("dataset-table", "Told to [NAME] on [DATE]")
    viewer.page.get_by_role("tab", name="Record").click()
    viewer.see("dataset-record", "Findings were masked by their kind")
    viewer.page.get_by_role("tab", name="What the model sees").click()
    viewer.see("dataset-proof", "tokens are learned")


def test_reading_a_file_can_be_cancelled(viewer, tmp_path):
    rows = ({"question": f"What is {n}?", "answer": f"It is {n}. " * 20} for n in range(60_000))
    path = tmp_path / "large.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    viewer.upload(path)
    viewer.see("dataset-progress", "Reading")
    viewer.page.click("#dataset-cancel")
    viewer.see("dataset-notice", "stopped before it was done")
    expect(viewer.page.locator("#dataset-cancel")).to_be_hidden()
    expect(viewer.page.locator("#dataset-prepare")).to_be_disabled()


def clear(viewer: Viewer, elem_id: str) -> None:
    """Takes away what a list of several was filled with."""
    taken = viewer.page.locator(f"#{elem_id} .token-remove")
    while taken.count():
        taken.first.click()


def choose(viewer: Viewer, elem_id: str, option: str) -> None:
    viewer.page.click(f"#{elem_id} input")
    viewer.page.get_by_role("option", name=option, exact=False).first.click()
    viewer.page.keyboard.press("Escape")


def test_text_of_a_row_is_shown_and_never_run(viewer, tmp_path):
    hostile = '<img src=x onerror="window.PWN=1"><script>window.PWN=1</script>${window.PWN=1}{{1}}'
    rows = [{"question": f"{n} {hostile}", "answer": f"{n} {hostile}"} for n in range(12)]
    path = tmp_path / "hostile.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    viewer.upload(path)
    viewer.see("dataset-table", "onerror")
    viewer.page.get_by_role("tab", name="Chat", exact=True).click()
    viewer.page.wait_for_timeout(1000)
    assert viewer.page.evaluate("window.PWN") is None
    assert "${window.PWN=1}" in viewer.page.text_content("#dataset-table")


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("rank", "0", "rank must be a whole number between 4 and 128, got 0"),
        ("rank", "", "rank must be a whole number between 4 and 128"),
        ("learning-rate", "5", "learning_rate must be a number between"),
        ("max-seq-length", "1.5", "max_seq_length must be a whole number"),
    ],
)
def test_a_setting_out_of_range_gets_one_sentence_at_once(viewer, setting, value, said):
    viewer.tab("configure")
    before = viewer.page.input_value(f"#configure-{setting} input")
    viewer.set(f"configure-{setting}", value)
    viewer.see("configure-status", said)
    viewer.set(f"configure-{setting}", before)
    expect(viewer.page.locator("#configure-status .mq-bad")).to_have_count(0)


def test_settings_reach_the_train_tab(viewer):
    viewer.use_sample()
    viewer.tab("configure")
    viewer.set("configure-rank", "8")
    viewer.set("configure-max-steps", "33")
    viewer.see("configure-status", "33 steps")
    viewer.page.click("#configure-continue")
    viewer.see("train-plan", "33 steps")
    viewer.see("train-plan", "rank 8")


def test_a_refusal_comes_up_as_one_sentence_with_the_way_out(viewer, tmp_path):
    viewer.upload(write_csv(tmp_path / "mystery.csv", "alpha,beta,gamma"))
    viewer.see("dataset-notice", "Choose them under Columns")
    clear(viewer, "dataset-prompt")
    viewer.page.click("#dataset-read-again")
    toast = viewer.page.locator(".toast-body")
    expect(toast).to_contain_text("A question column and an answer column are needed.")
    expect(toast).to_contain_text("Choose both")

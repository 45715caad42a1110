"""A run from its start to two different answers, as one or more people see it in their browsers."""

from __future__ import annotations

import csv
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.viewer import JOB_MS, Viewer

LONG, SHORT = 400, 20  # steps: enough to be watched, and enough to change the answers


@pytest.fixture
def viewer(browser: Any, app: Any) -> Iterator[Viewer]:
    one = Viewer(browser, app.url)
    yield one
    one.close()


@pytest.fixture
def second(browser: Any, app: Any) -> Iterator[Viewer]:
    one = Viewer(browser, app.url)
    yield one
    one.close()


@pytest.fixture(scope="module")
def trained(browser: Any, app: Any) -> None:
    """A finished run, with a learning rate that changes a tiny model within a few steps."""
    one = Viewer(browser, app.url)
    one.use_sample()
    one.set_steps(SHORT)
    one.set("configure-learning-rate", "0.01")
    one.set("configure-max-seq-length", "128")
    one.see("configure-status", f"{SHORT} steps")
    one.start()
    one.wait_for_end("Done")
    one.close()


def stop(viewer: Viewer) -> None:
    viewer.tab("train")
    viewer.page.click("#train-stop:not([disabled])")
    viewer.wait_for_end("Stopped")


def zoom_survives_new_points(viewer: Viewer) -> bool:
    viewer.page.evaluate(
        "() => { const plot = document.getElementById('plot-loss'); plot.isOurs = true;"
        " return Plotly.relayout(plot, {'xaxis.range': [1, 2]}); }"
    )
    viewer.wait_for_points(len(viewer.points()) + 3)
    kept = viewer.page.evaluate(
        "() => { const plot = document.getElementById('plot-loss');"
        " return [plot.isOurs, ...plot.layout.xaxis.range]; }"
    )
    return bool(kept == [True, 1, 2])


def run_directories(app: Any) -> set[str]:
    return {path.parent.name for path in app.workspace.glob("runs/*/run.json")}


def test_a_run_is_watched_refreshed_shared_stopped_and_resumed(viewer, second, app):
    viewer.use_sample()
    viewer.set_steps(LONG)
    viewer.start()
    viewer.tab("monitor")
    viewer.wait_for_points(3)
    assert zoom_survives_new_points(viewer)

    seen = viewer.points()
    viewer.page.reload()
    expect(viewer.page.locator("#tab-monitor")).to_be_visible(timeout=3000)
    viewer.wait_for_points(len(seen))
    assert viewer.points()[: len(seen)] == seen
    assert viewer.points("plot-memory")

    second.tab("monitor")
    second.wait_for_points(len(seen))
    assert second.points()[: len(seen)] == seen
    expect(second.page.locator("#monitor-run input")).to_have_value(
        viewer.page.input_value("#monitor-run input")
    )

    stop(second)  # whoever looks may stop it, not only who started it
    viewer.tab("monitor")
    viewer.see("monitor-status", "Stopped")
    last = viewer.points()[-1][0]

    viewer.tab("train")
    viewer.page.click("#train-resume")
    viewer.see("train-messages", "Resumed from the checkpoint of step", within_ms=JOB_MS)
    viewer.tab("monitor")
    viewer.page.wait_for_function(
        "last => (document.getElementById('plot-loss')?.data?.[0].x.at(-1) ?? 0) > last",
        arg=last,
        timeout=JOB_MS,
    )
    steps = [x for x, _ in viewer.points()]
    assert steps == sorted(set(steps))
    stop(viewer)
    assert viewer.troubles == []


def test_start_pressed_twenty_times_by_two_people_starts_one_run(viewer, second, app):
    viewer.use_sample()
    viewer.set_steps(LONG)
    before = run_directories(app)
    for one in (viewer, second):
        one.tab("train")
        expect(one.page.locator("#train-start")).to_have_text("Start training")
    at = 1000 * time.time() + 1500  # the same moment: neither page says "Add to the queue" yet
    for one in (viewer, second):
        one.page.evaluate(
            "at => setTimeout(() => { const button = document.getElementById('train-start');"
            " for (let n = 0; n < 20; n++) button.click(); }, at - Date.now())",
            at,
        )
    viewer.see("train-status", "Running")
    second.tab("monitor")
    second.see("monitor-status", "Running")
    assert len(run_directories(app) - before) == 1
    stop(viewer)


@pytest.mark.usefixtures("trained")
def test_the_held_out_entries_are_answered_scored_and_downloaded(viewer, tmp_path):
    viewer.tab("evaluate")
    viewer.set("evaluate-limit", "4")
    viewer.set("evaluate-length", "16")
    viewer.page.click("#evaluate-start:not([disabled])")
    viewer.see("evaluate-progress", "Done", within_ms=JOB_MS)
    viewer.see("evaluate-summary", "ROUGE-L")
    expect(viewer.page.locator("#evaluate-items tbody tr")).to_have_count(4)
    with viewer.page.expect_download() as download:
        viewer.page.click("#evaluate-csv")
    path = tmp_path / "answers.csv"
    download.value.save_as(path)
    with path.open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 4
    assert viewer.troubles == []


@pytest.mark.slow
@pytest.mark.usefixtures("trained")
def test_own_questions_are_answered_without_scores(viewer):
    viewer.tab("evaluate")
    viewer.page.get_by_label("My own questions").check()
    viewer.page.fill("#evaluate-queries textarea", "What is gout?\n\nWhat is asthma?")
    viewer.set("evaluate-length", "16")
    viewer.page.click("#evaluate-start:not([disabled])")
    viewer.see("evaluate-progress", "Done", within_ms=JOB_MS)
    viewer.see("evaluate-summary", "no reference answer")
    viewer.see("evaluate-items", "What is asthma?")


@pytest.mark.usefixtures("trained")
def test_one_question_gets_two_different_answers(viewer):
    viewer.tab("compare")
    viewer.page.click("#compare-question input")
    viewer.page.get_by_role("option", name="What are the early signs of sepsis").click()
    expect(viewer.page.locator("#compare-prompt textarea")).not_to_have_value("")
    viewer.page.click("#compare-send")
    viewer.see("compare-status", "tokens", within_ms=JOB_MS)
    base, tuned = viewer.text("compare-base"), viewer.text("compare-tuned")
    assert "sepsis" in base
    assert "sepsis" in tuned
    assert base != tuned.replace("After", "Before")
    viewer.page.click("#compare-difference summary")
    expect(viewer.page.locator("#compare-difference ins").first).to_be_visible()
    with viewer.page.expect_download() as download:
        viewer.page.click("#compare-save-csv")
    assert "sepsis" in Path(download.value.path()).read_text(encoding="utf-8")
    viewer.page.click("#compare-clear")
    expect(viewer.page.locator("#compare-base")).not_to_contain_text("sepsis")

    viewer.page.fill("#compare-prompt textarea", "John Smith, MRN 4839201, has a fever. Why?")
    viewer.page.click("#compare-send")
    viewer.see("compare-status", "Nothing was sent yet")
    expect(viewer.page.locator("#compare-base")).not_to_contain_text("fever")
    viewer.page.click("#compare-send")  # the same again: they mean it
    viewer.see("compare-status", "tokens", within_ms=JOB_MS)
    assert viewer.troubles == []


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_outlives_its_server_and_is_found_again(viewer, app, how):
    viewer.use_sample()
    viewer.set_steps(LONG)
    viewer.start()
    viewer.tab("monitor")
    viewer.wait_for_points(3)
    seen = viewer.points()
    app.stop(how)
    app.start()
    viewer.open("#monitor")
    viewer.wait_for_points(len(seen) + 1)
    assert viewer.points()[: len(seen)] == seen
    stop(viewer)


def test_stopping_the_server_leaves_no_private_file_behind(app, tmp_path):
    def folders() -> list[Path]:
        return list(Path("/tmp").glob(f"medqlora-page-{app.process.pid}-*"))

    assert len(folders()) == 1
    app.stop()
    assert folders() == []
    app.start()
    assert len(folders()) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("trained")
def test_a_stopped_answer_gives_the_turn_to_the_next_question(viewer):
    viewer.tab("compare")
    viewer.page.click("#compare-settings > button")
    viewer.page.fill("#compare-length input[type=number]", "512")
    viewer.page.fill("#compare-prompt textarea", "What is gout?")
    viewer.page.click("#compare-send")
    viewer.see("compare-status", "Answering", within_ms=JOB_MS)
    viewer.page.click("#compare-stop")
    viewer.see("compare-status", "Stopped")
    viewer.page.fill("#compare-length input[type=number]", "16")
    viewer.page.fill("#compare-prompt textarea", "What is asthma?")
    viewer.page.click("#compare-send")
    viewer.see("compare-status", "tokens", within_ms=JOB_MS)
    viewer.see("compare-base", "What is gout?")
    assert viewer.troubles == []


def test_the_study_report_is_one_press_and_opens_by_itself(viewer, trained, tmp_path: Path):
    viewer.tab("evaluate")
    expect(viewer.page.locator("#evaluate-start:not([disabled])")).to_be_visible()
    with viewer.page.expect_download() as download:
        viewer.page.click("#report-make")
    page = tmp_path / "report.html"
    download.value.save_as(page)
    asked: list[str] = []
    opened = viewer.page.context.new_page()
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(page.as_uri())
    expect(opened.locator("h2")).to_have_count(15)
    expect(opened.locator("svg[aria-label=Loss] polyline")).not_to_have_count(0)
    assert asked == [page.as_uri()]
    assert viewer.troubles == []


def test_the_adapter_is_one_press_and_can_be_taken_elsewhere(viewer, trained, tmp_path: Path):
    viewer.tab("evaluate")
    expect(viewer.page.locator("#evaluate-start:not([disabled])")).to_be_visible()
    with viewer.page.expect_download() as download:
        viewer.page.click("#adapter-make")
    file = tmp_path / "adapter.zip"
    download.value.save_as(file)
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        names = {Path(name).name for name in archive.namelist()}
        [card] = [name for name in archive.namelist() if name.endswith("README.md")]
        assert "Study report" in archive.read(card).decode()
    assert names == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "metadata.json",
        "README.md",
    }
    assert viewer.troubles == []

"""Takes the README's pictures from the real app: `python -m tests.browser.screenshots WORKSPACE`.

It walks the six tabs once as a newcomer would, with the sample and the embedded model, which takes
about ten minutes on two cores. Nothing is staged: what is on the pictures happened.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM, CHROMIUM_ARGS
from tests.browser.viewer import TABS, Viewer
from tests.running_app import App, free_port

FOLDER = Path(__file__).parent / "screenshots"
TRAINING_MS = 1_200_000
QUESTION = "Why can antibiotics lead to Clostridioides difficile infection?"


def main(workspace: Path) -> None:
    """Walks the tabs of an app on `workspace` and saves a picture of each."""
    app = App(workspace.resolve(), free_port())
    app.workspace.mkdir(parents=True, exist_ok=True)
    app.start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
            _walk(Viewer(browser, app.url))
            browser.close()
    finally:
        app.stop()


def _walk(viewer: Viewer) -> None:
    viewer.use_sample()
    _save(viewer, "dataset")
    viewer.tab("configure")
    viewer.see("configure-status", "steps")
    _save(viewer, "configure")
    viewer.start()
    viewer.tab("monitor")
    viewer.page.wait_for_function(
        "document.getElementById('plot-loss')?.data?.[0].x.length >= 25", timeout=TRAINING_MS
    )
    _save(viewer, "monitor")
    viewer.tab("train")
    _save(viewer, "train")
    viewer.see("train-status", "Done", within_ms=TRAINING_MS)
    viewer.tab("evaluate")
    viewer.page.click("#evaluate-start")
    viewer.see("evaluate-progress", "Done", within_ms=TRAINING_MS)
    _save(viewer, "evaluate")
    viewer.tab("compare")
    viewer.page.fill("#compare-prompt textarea", QUESTION)
    viewer.page.click("#compare-send")
    viewer.see("compare-status", "Time", within_ms=TRAINING_MS)
    _save(viewer, "compare")


def _save(viewer: Viewer, name: str) -> None:
    assert name in TABS
    FOLDER.mkdir(exist_ok=True)
    viewer.page.evaluate("window.scrollTo(0, 0)")
    viewer.page.wait_for_timeout(1_500)  # plots and fonts settle
    viewer.page.screenshot(path=FOLDER / f"{name}.png")
    print(f"{name}: taken", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

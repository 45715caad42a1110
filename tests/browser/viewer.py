"""One viewer: a browser page with the steps that the tests have in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

PAGE_MS = 60_000
JOB_MS = 240_000  # workers import torch first, on machines that others use too
TABS = ("dataset", "configure", "train", "monitor", "evaluate", "compare")


class Viewer:
    """A page in a context of its own, as another person on another machine would have."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.troubles: list[str] = []
        self._context = browser.new_context(viewport={"width": 1400, "height": 900})
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(PAGE_MS)
        self.page.on("pageerror", lambda error: self.troubles.append(f"exception: {error}"))
        self.page.on("console", self._heard)
        self.open()

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{message.type}: {message.text}")

    def open(self, fragment: str = "") -> None:
        """Loads the page anew and waits until its first answers are there."""
        self.page.goto("about:blank")
        self.page.goto(self.url + fragment)
        expect(self.page.locator("#tab-dataset-button")).to_be_visible()

    def close(self) -> None:
        self._context.close()

    def tab(self, name: str) -> None:
        self.page.click(f"#tab-{name}-button")
        expect(self.page.locator(f"#tab-{name}")).to_be_visible()
        if name == "configure":
            # The suggested values come with the page's load and would replace what is set earlier.
            self.see("configure-machine", "Memory")

    def text(self, elem_id: str) -> str:
        return self.page.inner_text(f"#{elem_id}")

    def see(self, elem_id: str, text: str, *, within_ms: int = PAGE_MS) -> None:
        """Waits until an element says something."""
        expect(self.page.locator(f"#{elem_id}")).to_contain_text(text, timeout=within_ms)

    def set(self, elem_id: str, value: str) -> None:
        self.page.fill(f"#{elem_id} input", value)

    def upload(self, path: Path) -> None:
        clear = self.page.locator("#dataset-file button[aria-label='Clear']")
        if clear.count():
            clear.first.click()
        self.page.set_input_files("#dataset-file input[type=file]", path)

    def use_sample(self) -> None:
        self.tab("dataset")
        self.page.click("#dataset-use-sample")
        # Another dataset may be shown as ready when the page opens.
        self.see("dataset-notice", "Sample: medical questions and answers is ready")

    def set_steps(self, steps: int) -> None:
        """Configures a run of so many steps, with a checkpoint after each."""
        self.tab("configure")
        self.set("configure-max-steps", str(steps))
        if not self.page.locator("#configure-save-steps").is_visible():
            self.page.click("#configure-advanced > button")
        self.set("configure-save-steps", "1")
        self.see("configure-status", f"{steps:,} steps")

    def start(self) -> None:
        self.tab("train")
        chosen = self.page.input_value("#dataset-current input")
        expect(self.page.locator("#train-dataset input")).to_have_value(chosen)
        # Watched from before the click on: a short run may be over before anybody looks.
        self.page.evaluate(
            "() => { window.hasStarted = false;"
            " new MutationObserver(() => { window.hasStarted = true; }).observe("
            "document.getElementById('train-status'),"
            " {childList: true, subtree: true, characterData: true}); }"
        )
        self.page.click("#train-start:has-text('Start training')")
        self.page.wait_for_function("() => window.hasStarted")
        expect(self.page.locator("#train-status")).not_to_contain_text("Press Start training")

    def wait_for_end(self, state: str) -> None:
        self.tab("train")
        self.see("train-status", state, within_ms=JOB_MS)
        expect(self.page.locator("#train-start")).to_have_text("Start training", timeout=JOB_MS)

    def points(self, plot: str = "plot-loss", trace: int = 0) -> list[tuple[float, float]]:
        """What is drawn: the points of one trace."""
        drawn = self.page.evaluate(
            "([id, n]) => { const data = document.getElementById(id)?.data?.[n];"
            " return JSON.stringify(data ? [[...data.x], [...data.y]] : [[], []]); }",
            [plot, trace],
        )
        xs, ys = json.loads(drawn)
        return list(zip(xs, ys, strict=True))

    def wait_for_points(self, number: int) -> None:
        self.page.wait_for_function(
            "n => document.getElementById('plot-loss')?.data?.[0].x.length >= n",
            arg=number,
            timeout=JOB_MS,
        )

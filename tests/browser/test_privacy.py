"""What a patient's row says, typed or uploaded, is not in what the server prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.browser.viewer import JOB_MS, Viewer
from tests.waiting import wait_until

CANARY = "Quorvexzibbandale"


def num_adapters(app: Any) -> int:
    return len(list(app.workspace.glob("runs/*/adapter")))


def test_the_servers_log_holds_no_row_after_a_run_an_evaluation_and_a_chat(
    browser: Any, app: Any, tmp_path: Path
) -> None:
    rows = [
        {"question": f"What does {CANARY} value {i} mean?", "answer": f"{CANARY} is well: {i}."}
        for i in range(40)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    viewer = Viewer(browser, app.url)
    viewer.tab("dataset")
    viewer.upload(path)
    viewer.page.click("#dataset-prepare:not([disabled])")
    viewer.see("dataset-notice", "is ready")
    viewer.set_steps(2)
    before = num_adapters(app)
    viewer.start()
    wait_until(lambda: num_adapters(app) > before)
    viewer.wait_for_end("Done")

    viewer.tab("evaluate")
    viewer.page.click("#evaluate-start:not([disabled])")
    viewer.see("evaluate-progress", "Done", within_ms=JOB_MS)
    viewer.see("evaluate-items", CANARY)
    viewer.tab("compare")
    viewer.page.fill("#compare-prompt textarea", f"How is {CANARY}?")
    viewer.page.click("#compare-send:not([disabled])")
    viewer.see("compare-status", "tokens", within_ms=JOB_MS)
    viewer.close()

    # Typed, uploaded and shown, and yet not printed.
    log = app.log.read_text(encoding="utf-8")
    assert "medqlora is ready" in log
    assert CANARY not in log

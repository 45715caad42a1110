"""A new machine whose mirror holds a run: one button brings it back and goes on with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.data.entries import write_entries
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.models import embedded
from medqlora.persistence.storage_address import StorageAddress
from medqlora.persistence.workspace import Workspace
from medqlora.runs.courier import Courier
from medqlora.runs.process import recorded_process
from tests.browser.viewer import JOB_MS, Viewer
from tests.mirrored_runs import FakeRun
from tests.running_app import App, free_port

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=3, max_seq_length=128)


def mirror_an_interrupted_run(old: Workspace, address: str) -> str:
    run = FakeRun.begin(old, config=CONFIG)
    entries = [MedicalDataEntry(question=f"What is {n}?", answer=f"It is {n}.") for n in range(12)]
    write_entries(run.directory.train_entries, entries[:10])
    write_entries(run.directory.eval_entries, entries[10:])
    Courier(old).send("push", StorageAddress.parse(address), run.run_id)
    return run.run_id


def test_the_last_run_is_continued_on_a_new_machine_and_said_to_be_safe(
    browser: Any, tiny_model: Path, tmp_path: Path
) -> None:
    drive = str(tmp_path / "drive")
    mirror_an_interrupted_run(Workspace.open(tmp_path / "old"), drive)
    new = Workspace.open(tmp_path / "new" / "workspace")
    shutil.copytree(tiny_model, embedded.folder(new.models))
    app = App(new.root, free_port(), ("--mirror", drive))
    app.start()
    viewer = Viewer(browser, app.url)
    try:
        viewer.tab("train")
        button = viewer.page.locator("#train-continue")
        expect(button).to_have_text("Continue my last run", timeout=JOB_MS)
        button.click()
        viewer.wait_for_end("Done")
        viewer.see("train-mirror", f"Safe in {drive}, with the adapter.", within_ms=JOB_MS)
        expect(button).to_be_hidden()
        assert viewer.troubles == []
    finally:
        viewer.close()
        app.stop()
        mirroring = recorded_process(new.mirror / "worker.json")
        if mirroring:
            mirroring.kill()

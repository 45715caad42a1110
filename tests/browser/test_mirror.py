"""A new machine whose mirror holds a run or datasets: one button each brings them back."""

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
from tests.mirrored_datasets import write_dataset
from tests.mirrored_runs import FakeRun
from tests.running_app import App, free_port

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=3, max_seq_length=128)


def mirror_an_interrupted_run(old: Workspace, address: str) -> str:
    run = FakeRun.begin(old, config=CONFIG)
    entries = [MedicalDataEntry(question=f"What is {n}?", answer=f"It is {n}.") for n in range(12)]
    write_entries(run.directory.train_entries, entries[:10])
    write_entries(run.directory.eval_entries, entries[10:])
    Courier(old).send("push", StorageAddress.parse(address), run.folder)
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


def test_a_dataset_is_said_to_be_safe_and_comes_back_on_a_new_machine_with_one_press(
    browser: Any, tmp_path: Path
) -> None:
    drive = tmp_path / "drive"
    old = Workspace.open(tmp_path / "old" / "workspace")
    new = Workspace.open(tmp_path / "new" / "workspace")
    apps = [App(one.root, free_port(), ("--mirror", str(drive))) for one in (old, new)]
    try:
        apps[0].start()
        first = Viewer(browser, apps[0].url)
        first.use_sample()
        first.see("dataset-mirror", f"Safe in {drive}.", within_ms=JOB_MS)
        expect(first.page.locator("#dataset-bring-back")).to_be_hidden()
        [folder] = old.datasets.iterdir()
        assert first.troubles == []
        first.close()
        end(apps[0], old)

        # One more in the mirror, which a drive has lost a file of.
        torn = write_dataset(old, "torn-0002")
        Courier(old).send("push", StorageAddress.parse(str(drive)), f"datasets/{torn.name}")
        manifest = next((drive / "datasets" / torn.name).glob("state-*.json"))
        manifest.write_bytes(b"")

        apps[1].start()
        second = Viewer(browser, apps[1].url)
        button = second.page.locator("#dataset-bring-back")
        expect(button).to_have_text("Bring back my datasets (1)", timeout=JOB_MS)
        button.click()
        second.see("dataset-notice", "Sample: medical questions and answers is back.")
        second.see("dataset-notice", "Not brought back: datasets/torn-0002: ")
        second.see("dataset-facts", "To learn from")
        expect(button).to_be_hidden()
        second.see("dataset-mirror", f"Safe in {drive}.", within_ms=JOB_MS)
        for side in ("train.jsonl", "eval.jsonl"):
            there = new.datasets / folder.name / side
            assert there.read_bytes() == (folder / side).read_bytes()
        second.tab("train")
        expect(second.page.locator("#train-dataset input")).to_have_value(
            second.page.input_value("#dataset-current input")
        )
        assert second.troubles == []
        second.close()
    finally:
        for app, workspace in zip(apps, (old, new), strict=True):
            end(app, workspace)


def end(app: App, workspace: Workspace) -> None:
    """Ends a server and the copying of its workspace, unless they are ended."""
    if app.process is not None and app.process.poll() is None:
        app.stop()
    if mirroring := recorded_process(workspace.mirror / "worker.json"):
        mirroring.kill()

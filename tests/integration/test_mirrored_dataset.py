"""A dataset outlives its machine: prepared, never trained on, brought back, trained on."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from medqlora.models import embedded
from medqlora.persistence.workspace import Workspace
from medqlora.runs.process import recorded_process
from medqlora.services import Services, cells
from tests.integration.test_command_line import run
from tests.mirrored_runs import contents


def test_a_dataset_goes_to_a_new_machine_through_the_mirror_alone_and_is_trained_on(
    workspace: Workspace,
    qa_file: Path,
    tmp_path: Path,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    drive = str(tmp_path / "drive")
    old = Services.open(workspace.root, mirror=drive)
    card = cells.prepare(old, str(qa_file))
    assert f"Safe in {drive}." in capsys.readouterr().out
    here = contents(workspace.datasets)
    copying = recorded_process(workspace.mirror / "worker.json")
    assert copying is not None
    copying.kill()
    shutil.rmtree(workspace.root)

    new = Workspace.open(tmp_path / "new" / "workspace")
    shutil.copytree(tiny_model, embedded.folder(new.models))
    code, document, _ = run(new.root, "mirror", "--mirror", drive)
    [listed] = document["datasets"]
    assert (code, listed["dataset_id"], listed["is_here"]) == (0, card.dataset_id, False)
    assert contents(new.datasets) == {}  # nothing comes by itself
    code, document, said = run(new.root, "restore", "--datasets")
    assert (code, document["dataset_ids"]) == (0, [card.dataset_id])
    assert f"{qa_file.name} is back." in said
    assert contents(new.datasets) == here
    code, document, _ = run(new.root, "restore", "--datasets")
    assert code == 2
    assert document["error"]["message"] == "The mirror has no dataset that is not here already."

    # The same file with the same choices is this dataset, which is not prepared a second time.
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"dataset": str(qa_file), "rank": 4, "max_steps": 2}))
    try:
        code, document, said = run(new.root, "train", "--config", str(settings))
        assert (code, document["state"], document["step"]) == (0, "succeeded", 2)
        assert document["dataset_mirror"]["message"] == f"Safe in {drive}."
        assert f"The dataset: Safe in {drive}." in said
    finally:
        mirroring = recorded_process(new.mirror / "worker.json")
        if mirroring:
            mirroring.kill()
    [back] = Services.open(new.root).datasets.cards()
    assert (back.created_at, back.sha256) == (card.created_at, card.sha256)
    trained = Services.open(new.root).training.directory(document["run_id"])
    assert trained.spec().dataset["sha256"] == card.sha256
    trained_on = hashlib.sha256(trained.train_entries.read_bytes()).hexdigest()
    entries = here[f"{card.dataset_id}/train.jsonl"]
    assert trained_on == hashlib.sha256(entries).hexdigest()

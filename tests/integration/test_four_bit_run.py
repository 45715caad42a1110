"""A run on a 4-bit copy, stopped and resumed, ends with the bytes of one on the 16-bit weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.models.hub_stand_in import COMMIT, LISTED, LISTED_COPY, model_hub
from tests.models.test_four_bit_copy import copy as copy  # a fixture

ROOT = Path(__file__).parents[2]
RUNS = """
import hashlib, json, sys
from pathlib import Path
from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import CheckpointDiffersError
from medqlora.services import Services
from tests.models.hub_stand_in import LISTED
from tests.waiting import wait_for_end, wait_until
services = Services.open(Path(sys.argv[1]))
training = services.training
card = services.datasets.prepare(Path(sys.argv[2]))
config = QLoRAConfig(LISTED, rank=4, alpha=8, dropout=0.1, max_steps=200, save_steps=2,
                     max_seq_length=64, eval_steps=1000, save_minutes=0)
def adapter(run_id):
    folder = training.directory(run_id).adapter
    about = json.loads((folder / "adapter_config.json").read_text())
    return {"sha": hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest(),
            "base": about["base_model_name_or_path"], "revision": about["revision"],
            "metadata": json.loads((folder / "metadata.json").read_text())}
run_id = training.start(config, card.dataset_id)
wait_until(lambda: training.snapshot(run_id).checkpoint_step >= 2)
training.stop(run_id)
said = {"first": wait_for_end(training, run_id).state, "phases": [
    one.phase for one in training.directory(run_id).read_events() if hasattr(one, "phase")]}
file = training.directory(run_id).path / "run.json"
record = json.loads(file.read_text())
said["recorded"] = record["config"]["base_weights"]
file.write_text(json.dumps({**record, "config": {**record["config"], "base_weights": "own"}}))
try:
    training.resume(run_id)
except CheckpointDiffersError as error:
    said["refused"] = error.message
file.write_text(json.dumps(record))
training.resume(run_id)
said["second"] = wait_for_end(training, run_id).state
said["resumed"] = adapter(run_id)
other = training.start(config.changed(base_weights="own"), card.dataset_id)
said["third"] = wait_for_end(training, other).state
said["own"] = adapter(other)
run = training.directory(run_id)
back = services.library.import_adapter(services.library.export(run, services.workspace.root))
said["imported"] = services.training.spec(back).config
said["merged"] = services.library.export_merged(run, services.workspace.root).num_layers
services.close()
print(json.dumps(said))
"""


def test_a_copy_changes_the_download_and_nothing_else(
    tiny_model: Path, copy: dict[str, bytes], tmp_path: Path, qa_file: Path
) -> None:
    with model_hub(tiny_model) as hub:
        hub.add_copy(copy)
        done = subprocess.run(
            [sys.executable, "-c", RUNS, str(tmp_path / "workspace"), str(qa_file)],
            cwd=ROOT,
            env={**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        weights = list(hub.weights)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert [said[one] for one in ("first", "second", "third")] == ["stopped", *2 * ["succeeded"]]
    assert weights == [f"{one}/model.safetensors" for one in (LISTED_COPY, LISTED)]
    assert said["recorded"] == f"{LISTED_COPY}@{COMMIT}"
    assert any(LISTED_COPY in one for one in said["phases"])
    assert f"base_weights was {LISTED_COPY}@{COMMIT} and is own" in said["refused"]
    # It comes back on the same commit, and is merged into the 16-bit weights of that commit.
    assert (said["imported"]["model_name"], said["imported"]["model_revision"]) == (LISTED, COMMIT)
    assert said["merged"] == 14
    resumed, own = said["resumed"], said["own"]
    assert resumed["sha"] == own["sha"]
    for one in (resumed, own):
        assert (one["base"], one["revision"]) == (LISTED, COMMIT)
        assert one["metadata"]["model_name"] == LISTED
    assert resumed["metadata"]["training_config"]["base_weights"] == said["recorded"]

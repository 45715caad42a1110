"""The sample, the embedded model and the Unsloth engine in a real worker, on a machine without GPU.

In this worker Unsloth has changed transformers before the embedded model is unpacked with it.
"""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from pathlib import Path

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import PhaseChanged
from medqlora.models import embedded
from medqlora.persistence.workspace import Workspace
from medqlora.services import Services
from tests.waiting import wait_for_end

ROOT = Path(__file__).parents[2]
UNPACK = """
import sys
from pathlib import Path
from medqlora.models import embedded
embedded.unpack(Path(sys.argv[1]), on_progress=lambda phase, share: None)
"""
CONFIG = QLoRAConfig(
    EMBEDDED_MODEL,
    engine="unsloth",
    rank=4,
    alpha=8,
    max_steps=2,
    per_device_train_batch_size=1,
    gradient_accumulation_steps=1,
    max_seq_length=128,
)


def digests(folder: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
    }


def test_the_sample_trains_the_embedded_model_with_unsloth_and_transformers_asks_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    services = Services.open(workspace.root)
    card = services.datasets.prepare(None, eval_share=0.01)
    run_id = services.training.start(CONFIG, card.dataset_id)
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    directory = services.training.directory(run_id)
    phases = [one.phase for one in directory.read_events() if isinstance(one, PhaseChanged)]
    assert "Training with Unsloth: the settings ask for it." in phases
    assert "Reading the packed weights" in phases
    losses = [point.y for point in snapshot.traces["loss"]]
    assert len(losses) == 2
    # A model that speaks English; one whose weights were unpacked wrongly begins at 10.8.
    assert all(math.isfinite(loss) and loss < 5 for loss in losses)

    evaluation_id = services.evaluation.start(run_id, limit=1, max_new_tokens=8)
    evaluated = wait_for_end(services.evaluation, evaluation_id)
    assert evaluated.state == "succeeded", evaluated.messages
    [item] = services.evaluation.items(evaluation_id)
    assert item.base.response
    assert item.finetuned.response

    # Its adapter leaves as any other.
    assert services.library.export_merged(directory, tmp_path / "out").num_layers == 210
    assert services.library.import_adapter(services.library.export(directory, tmp_path / "out"))

    # The same bytes as without Unsloth.
    subprocess.run([sys.executable, "-c", UNPACK, str(tmp_path)], cwd=ROOT, check=True)
    assert digests(embedded.folder(workspace.models)) == digests(embedded.folder(tmp_path))

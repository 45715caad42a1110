"""A model that also reads pictures, from a file of questions to a model that others can load.

That a resumed run is the same is `models/test_engine_contract`'s.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.events import PhaseChanged
from medqlora.domain.generation import GenerationSettings
from medqlora.models.compute_dtype import REASON
from medqlora.persistence.adapters import WEIGHTS, AdapterSaver
from medqlora.persistence.workspace import Workspace
from medqlora.services import Services
from tests.waiting import wait_for_end

MODEL = "someone/medgemma-tiny"
CONFIG = QLoRAConfig(
    MODEL,
    rank=4,
    alpha=8,
    learning_rate=5e-3,
    max_steps=10,
    max_seq_length=128,
    compute_dtype="float16",
)


@pytest.fixture
def services(workspace: Workspace, tiny_picture_model: Path) -> Iterator[Services]:
    shutil.copytree(tiny_picture_model, workspace.models / MODEL)
    services = Services.open(workspace.root)
    yield services
    services.close()


def exam(folder: Path) -> Path:
    path = folder / "exam.jsonl"
    rows = [
        {"question": f"What is value {n}?", "options": {"A": "low", "B": "high"}, "answer": "A"}
        for n in range(4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_it_is_trained_asked_examined_taken_away_and_brought_back(
    services: Services, qa_file: Path, tmp_path: Path
) -> None:
    report = services.configuration.compatibility(MODEL)
    assert report.is_compatible, report.problems
    training, card = services.training, services.datasets.prepare(qa_file)
    run_id = training.start(CONFIG, card.dataset_id)
    snapshot = wait_for_end(training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    held_out = [point.y for point in snapshot.traces["eval_loss"]]
    assert held_out[-1] < held_out[0]
    run = training.directory(run_id)
    told = [one.phase for one in run.read_events() if isinstance(one, PhaseChanged)]
    assert any(one.startswith("Training with transformers") for one in told)
    assert REASON in told
    assert AdapterSaver.metadata(str(run.adapter))["training_config"]["compute_dtype"] == "float32"

    evaluation_id = services.evaluation.start(run_id, limit=2, max_new_tokens=4)
    assert wait_for_end(services.evaluation, evaluation_id).state == "succeeded"
    assert [one.index for one in services.evaluation.items(evaluation_id)] == [1, 2]
    exam_id = services.benchmarks.start(
        run_id, [services.benchmarks.add(exam(tmp_path)).name], num_items=0
    )
    assert wait_for_end(services.benchmarks, exam_id).state == "succeeded"

    file = services.library.export(run, tmp_path)
    back = training.directory(services.library.import_adapter(file))
    assert (back.adapter / WEIGHTS).read_bytes() == (run.adapter / WEIGHTS).read_bytes()
    turns = [{"role": "user", "content": "What does lab value 3 mean?"}]
    *_, last = services.chat.stream(
        back.run_id,
        base_turns=turns,
        tuned_turns=turns,
        settings=GenerationSettings(max_new_tokens=8),
    )
    assert last.base_text != last.tuned_text
    made = services.library.export_merged(run, services.workspace.models / "merged")
    assert made.num_layers == 3 * 7
    merged = services.configuration.compatibility(f"merged/{run_id}")
    assert merged.is_compatible, merged.problems

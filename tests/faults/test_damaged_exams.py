"""An exam whose record is damaged says so, and keeps nobody from the others."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from medqlora.domain.benchmark import OWN, BenchmarkCard, ChoiceAnswer, ChoiceItem, Question
from medqlora.domain.events import RunStarted, RunStopped
from medqlora.domain.jobs import JobSpec
from medqlora.errors import PersistenceError
from medqlora.runs.event_log import EventLogWriter
from medqlora.runs.items import append_items
from medqlora.runs.run_directory import RunDirectory
from medqlora.services import Services
from ui.exam_panel import Handlers

ITEM = ChoiceItem(item_id="1", question="Which?", options=("a", "b"), gold=0)
ANSWER = ChoiceAnswer(
    benchmark="own-x",
    item_id="1",
    gold="A",
    choices=("A", "B"),
    base="A",
    fine_tuned="B",
    base_scores=(-1.0, -2.0),
    fine_tuned_scores=(-2.0, -1.0),
)
CARD = BenchmarkCard(
    name="own-x", label="x", template=OWN, source="x.csv", sha256="", num_items=1, mean_chars=9.0
)


def stopped_exam(services: Services, exam_id: str) -> RunDirectory:
    spec = JobSpec(
        run_id=exam_id,
        kind="benchmark",
        name=exam_id,
        created_at="2026-11-22T10:00:00+00:00",
        config={"model_name": "embedded"},
        models_dir="",
        dataset={"run_id": "some"},
    )
    directory = RunDirectory.create(services.workspace.exams / exam_id, spec)
    question = Question(benchmark="own-x", template=OWN, item=ITEM)
    directory.queries.write_text(json.dumps(asdict(question)) + "\n", encoding="utf-8")
    directory.sets.write_text(json.dumps([CARD.to_json()]), encoding="utf-8")
    append_items(directory.items, [ANSWER])
    with EventLogWriter(directory.events, run_id=exam_id) as log:
        log.append(RunStarted(job="benchmark"))
        log.append(RunStopped(step=1))
    return directory


@pytest.mark.parametrize("name", ["items.jsonl", "data/sets.json", "data/queries.jsonl"])
@pytest.mark.parametrize("content", [bytes(range(256)) + b"\n", b"[1, 2]\n", b'{"a": 1}\n'])
def test_a_damaged_exam_is_told_and_hides_no_other(
    services: Services, tmp_path: Path, name: str, content: bytes
) -> None:
    whole = stopped_exam(services, "20261122-100000-whole-0000")
    damaged = stopped_exam(services, "20261122-110000-damaged-0000")
    (damaged.path / name).write_bytes(content)

    def read_everything() -> None:
        services.benchmarks.results(damaged.run_id)
        services.benchmarks.write_csv(damaged.run_id, tmp_path)

    with pytest.raises(PersistenceError) as refused:
        read_everything()
    assert refused.value.hint
    assert services.benchmarks.results(whole.run_id)[0].comparison.n == 1
    assert [one.exam_id for one in services.benchmarks.exams()] == [damaged.run_id, whole.run_id]


def test_a_torn_last_answer_is_dropped(services: Services) -> None:
    directory = stopped_exam(services, "20261122-100000-torn-0000")
    with directory.items.open("ab") as file:
        file.write(b'{"benchmark": "own-x", "item')
    assert services.benchmarks.results(directory.run_id)[0].comparison.n == 1


def test_the_panel_opens_on_a_damaged_exam(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    directory = stopped_exam(services, "20261122-110000-damaged-0000")
    directory.sets.write_bytes(b"{")
    outputs = Handlers(services).open("", None, [])
    assert any("damaged on disk" in one for one in outputs if isinstance(one, str))

"""Benchmarks as jobs: asked before and after, stopped, killed, gone on with, refused, reported."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.data.entries import write_entries
from medqlora.domain.benchmark import ChoiceItem
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.events import ItemEvaluated
from medqlora.errors import EvaluationError, GpuBusyError, MedQLoRAError
from medqlora.runs.benchmark_job import drawn, seen_in_training
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.items import read_answers
from medqlora.services import Services
from tests.waiting import wait_for_end, wait_until

NUM_QUESTIONS = 96


@pytest.fixture
def exam_file(tmp_path: Path) -> Path:
    path = tmp_path / "ward exam.jsonl"
    rows = [
        {
            "id": f"q{n}",
            "question": f"Which value of test {n} needs a call to Dr. Maria Gonzalez?",
            "options": {"A": f"{n}", "B": f"{n + 10}", "C": f"{n + 20}", "D": f"{n + 30}"},
            "answer": "ABCD"[n * 7 % 4],
            "specialty": ("heart", "lung")[n % 2],
        }
        for n in range(NUM_QUESTIONS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def run_id(services: Services, qa_file: Path) -> str:
    """A trained run of the tiny model."""
    card = services.datasets.prepare(qa_file)
    config = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=3, learning_rate=1e-2)
    run_id = services.training.start(config, card.dataset_id)
    assert wait_for_end(services.training, run_id).state == "succeeded"
    return run_id


def test_a_benchmark_is_asked_stopped_killed_and_gone_on_with(
    services: Services, run_id: str, exam_file: Path, tmp_path: Path
) -> None:
    benchmarks = services.benchmarks
    card = benchmarks.add(exam_file)
    [plan] = benchmarks.plan(services.training.directory(run_id), [card.name], num_items=0)
    assert plan.num_items == NUM_QUESTIONS
    assert plan.detectable == pytest.approx(0.143, abs=1e-3)
    assert plan.seconds is not None
    assert plan.seconds > 0

    exam_id = benchmarks.start(run_id, [card.name], num_items=0)
    directory = benchmarks.directory(exam_id)
    wait_until(lambda: len(read_answers(directory.items)) >= 8)
    benchmarks.stop(exam_id)
    stopped = wait_for_end(benchmarks, exam_id)
    first = read_answers(directory.items)
    assert stopped.state == "stopped"
    assert 8 <= len(first) < NUM_QUESTIONS
    [partial] = benchmarks.results(exam_id)
    assert partial.comparison.n == len(first)

    benchmarks.resume(exam_id)
    wait_until(lambda: len(read_answers(directory.items)) > len(first))
    worker = json.loads(directory.worker_file.read_text(encoding="utf-8"))
    os.kill(worker["pid"], signal.SIGKILL)
    assert wait_for_end(benchmarks, exam_id).state == "failed"
    second = read_answers(directory.items)
    assert second[: len(first)] == first

    benchmarks.resume(exam_id)
    done = wait_for_end(benchmarks, exam_id)
    assert done.state == "succeeded"
    assert (done.items_done, done.items_total) == (NUM_QUESTIONS, NUM_QUESTIONS)
    answers = read_answers(directory.items)
    assert answers[: len(second)] == second  # what was answered was not asked again
    assert len({one.key for one in answers}) == len(answers) == NUM_QUESTIONS
    indices = [e.index for e in directory.read_events() if isinstance(e, ItemEvaluated)]
    assert indices == list(range(1, NUM_QUESTIONS + 1))

    [result] = benchmarks.results(exam_id)
    assert result.comparison.n == NUM_QUESTIONS
    assert set(result.by_label) == {"heart", "lung"}
    assert result.chance == 0.25
    assert "items" in result.verdict
    written = benchmarks.write_csv(exam_id, tmp_path)
    rows = list(csv.DictReader(written.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == NUM_QUESTIONS
    assert "Gonzalez" not in written.read_text(encoding="utf-8")
    right = sum(int(row["finetuned_right"]) for row in rows)
    assert right / NUM_QUESTIONS == pytest.approx(result.comparison.accuracy_fine_tuned)
    assert "Gonzalez" not in directory.events.read_text(encoding="utf-8")
    assert "Gonzalez" not in directory.worker_log.read_text(encoding="utf-8")

    [timed] = benchmarks.plan(services.training.directory(run_id), [card.name], num_items=10)
    assert timed.num_items == 10
    assert timed.seconds != plan.seconds * 10 / NUM_QUESTIONS  # measured by now

    lease = GpuLease.acquire(services.workspace.machine_lock, holder="20261122-a-training")
    try:
        with pytest.raises(GpuBusyError, match="busy with 20261122-a-training") as refused:
            benchmarks.start(run_id, [card.name], num_items=4)
        assert "wait" in refused.value.hint
    finally:
        lease.close()
    assert len(benchmarks.exams()) == 1  # the refusal left nothing behind
    GpuLease.acquire(services.workspace.machine_lock, holder="next").close()


def test_what_cannot_be_asked_is_refused_before_anything_starts(
    services: Services, run_id: str, exam_file: Path
) -> None:
    benchmarks = services.benchmarks
    card = benchmarks.add(exam_file)
    for names, num_items, says in (
        ([], 4, "No benchmark was chosen"),
        ([card.name, card.name], 4, "one twice"),
        (["../../etc"], 4, "no benchmark called"),
        ([card.name], -1, "cannot be -1"),
    ):
        with pytest.raises(EvaluationError, match=says):
            benchmarks.start(run_id, names, num_items=num_items)
    with pytest.raises(EvaluationError, match="no benchmark called"):
        benchmarks.add(exam_file, template="usmle")
    (services.training.directory(run_id).adapter / "adapter_model.safetensors").unlink()
    exam_id = benchmarks.start(run_id, [card.name], num_items=4)
    failed = wait_for_end(benchmarks, exam_id)
    assert failed.state == "failed"
    assert failed.messages[-1].text
    assert not issubclass(MedQLoRAError, type(failed.outcome))
    assert benchmarks.results(exam_id) == ()


def test_questions_that_were_trained_on_are_told(tmp_path: Path) -> None:
    items = [
        ChoiceItem(item_id=str(n), question=question, options=("a", "b"), gold=0)
        for n, question in enumerate(
            ["Which sign is early in sepsis?", "What lowers glucose?", "When is pain urgent?"]
        )
    ]
    path = tmp_path / "train.jsonl"
    entries = [
        MedicalDataEntry(question="which sign is early in SEPSIS", answer="Fever."),
        MedicalDataEntry(
            question="What lowers glucose?\nA. x\nB. y",
            answer="x",
            metadata={"stem": "What lowers glucose?"},
        ),
        MedicalDataEntry(question="Something else entirely?", answer="Yes."),
    ]
    write_entries(path, entries)
    [said] = seen_in_training(path, items)
    assert said.startswith("2 of these 3 questions stand in the training data")
    write_entries(path, entries[2:])
    assert seen_in_training(path, items) == ()
    assert "cannot be told" in seen_in_training(tmp_path / "gone.jsonl", items)[0]


def test_the_same_seed_draws_the_same_questions() -> None:
    items = [
        ChoiceItem(item_id=str(n), question="?", options=("a", "b"), gold=0) for n in range(100)
    ]
    assert drawn(items, 10, seed=0) == drawn(items, 10, seed=0)
    assert drawn(items, 10, seed=0) != drawn(items, 10, seed=1)
    assert drawn(items, 0, seed=0) == drawn(items, 500, seed=0) == items
    assert drawn(items, 10, seed=0) == sorted(drawn(items, 10, seed=0), key=items.index)

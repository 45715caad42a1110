"""The job `benchmark`: multiple-choice questions to the base and the fine-tuned model.

What is asked is drawn once and kept in the job's folder; answers go to its `items.jsonl` batch by
batch. A stopped or killed job goes on with the questions that have no answer yet.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from medqlora.data.entries import iter_entries
from medqlora.data.preparing.overlap import OverlapIndex
from medqlora.domain.benchmark import BenchmarkCard, ChoiceAnswer, ChoiceItem, Question
from medqlora.domain.events import ItemEvaluated, Outcome, RunStopped, RunSucceeded, RunWarned
from medqlora.evaluation.benchmark_results import results_of
from medqlora.evaluation.benchmark_sets import num_chars, obtain
from medqlora.persistence.atomic import write_json, write_text
from medqlora.runs.asking import LARGEST_BATCH, halved, load_both
from medqlora.runs.items import append_items, read_answers, told_when_damaged
from medqlora.runs.job import Job
from medqlora.runs.run_directory import RunDirectory
from medqlora.training.memory import MemoryMonitor

CHARS_PER_SECOND = "chars_per_second"
"""Among a job's figures: characters of questions that both models read in a second."""


def examine(job: Job) -> Outcome:
    """Asks both models every question that has no answer yet."""
    with MemoryMonitor(job.report):
        return _examine(job)


def _examine(job: Job) -> Outcome:
    if not job.directory.sets.exists():
        _draw(job)
    questions = read_questions(job.directory)
    answers = read_answers(job.directory.items)
    done = {one.key for one in answers}
    pending = [one for one in questions if one.key not in done]
    seconds = _ask(job, pending, answers, total=len(questions)) if pending else 0.0
    if len(answers) < len(questions):
        return RunStopped(step=len(answers))
    metrics = _metrics(answers, read_sets(job.directory))
    if seconds:
        metrics[CHARS_PER_SECOND] = sum(num_chars(one.item) for one in pending) / seconds
    return RunSucceeded(metrics=metrics)


def _draw(job: Job) -> None:
    """Chooses what is asked: of each set as many as wanted, at random but the same for a seed."""
    options = job.spec.options
    sets: list[BenchmarkCard] = []
    questions: list[Question] = []
    for name in options["benchmarks"]:
        card, items = obtain(Path(options["benchmarks_dir"]), name, on_phase=job.report_phase)
        chosen = drawn(items, options["num_items"], seed=options["seed"])
        questions += [
            Question(benchmark=card.name, template=card.template, item=item) for item in chosen
        ]
        job.report_phase("Looking for the questions in the training data")
        trained_on = RunDirectory(Path(job.spec.adapter_dir).parent).train_entries
        sets.append(replace(card, remarks=(*card.remarks, *seen_in_training(trained_on, chosen))))
    lines = (json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in questions)
    write_text(job.directory.queries, "".join(lines))
    write_json(job.directory.sets, [one.to_json() for one in sets])  # last: now it is drawn


def drawn(items: Sequence[ChoiceItem], num_items: int, *, seed: int) -> list[ChoiceItem]:
    """`num_items` of the items, in file order; all where there are no more, or for 0."""
    if not 0 < num_items < len(items):
        return list(items)
    chosen = random.Random(seed).sample(range(len(items)), num_items)
    return [items[position] for position in sorted(chosen)]


def seen_in_training(train_entries: Path, items: Sequence[ChoiceItem]) -> tuple[str, ...]:
    """What is to be said where the model was trained on questions of the exam; mostly nothing.

    Args:
        train_entries: The entries that the adapter was trained on.
        items: What is asked.
    """
    if not train_entries.is_file():
        return ("Whether the model was trained on these questions cannot be told any more.",)
    index = OverlapIndex("exam", (item.question for item in items))
    for entry in iter_entries(train_entries):
        index.look_up(str(entry.metadata.get("stem") or entry.question))
    num_seen = index.overlap().num_items_met
    if not num_seen:
        return ()
    return (
        f"{num_seen:,} of these {len(items):,} questions stand in the training data, word for word "
        "or nearly: the model may know them by heart, so a gain here does not show that it learned "
        "to answer others.",
    )


def read_questions(directory: RunDirectory) -> list[Question]:
    """What is asked; nothing before it was drawn.

    Raises:
        PersistenceError: It is damaged.
    """
    if not directory.sets.exists():
        return []
    with told_when_damaged():
        lines = directory.queries.read_text(encoding="utf-8").split("\n")
        return [Question.from_json(json.loads(line)) for line in lines if line]


def read_sets(directory: RunDirectory) -> list[BenchmarkCard]:
    """The cards of the benchmarks that are asked; none before they were drawn.

    Raises:
        PersistenceError: They are damaged.
    """
    if not directory.sets.exists():
        return []
    with told_when_damaged():
        text = directory.sets.read_text(encoding="utf-8")
        return [BenchmarkCard.from_json(one) for one in json.loads(text)]


def _ask(
    job: Job, pending: Sequence[Question], answers: list[ChoiceAnswer], *, total: int
) -> float:
    """Adds the answers to the pending questions to `answers`, until told to stop.

    Returns:
        The seconds that it took, without loading the model.
    """
    # Here: it brings torch along.
    from medqlora.evaluation.harness import BothModels, build_tasks

    model, tokenizer = load_both(job)
    batch_size, began = LARGEST_BATCH, time.monotonic()
    left = list(pending)
    while left and not job.should_stop():
        both = BothModels(model, tokenizer, batch_size=batch_size)
        job.report_phase("Asking both models", len(answers) / total)
        try:
            for batch in both.answers(left, build_tasks(left), should_stop=job.should_stop):
                append_items(job.directory.items, batch)
                answers += batch
                _report(job, batch, num_done=len(answers), total=total)
        except (RuntimeError, MemoryError) as error:
            batch_size = halved(batch_size, error)
        done = {one.key for one in answers}
        left = [one for one in left if one.key not in done]
        if both.num_cut and not left:
            job.report(_cut(both.num_cut))
    return time.monotonic() - began


def _cut(num_cut: int) -> RunWarned:
    return RunWarned(
        message=f"{num_cut:,} questions are longer than the model reads and were cut at their "
        "beginning.",
        hint="They count like the others, for both models alike.",
    )


def _report(job: Job, batch: Sequence[ChoiceAnswer], *, num_done: int, total: int) -> None:
    for number, one in enumerate(batch, start=num_done - len(batch) + 1):
        job.report(
            ItemEvaluated(
                index=number,
                total=total,
                base_scores={"right": float(one.base == one.gold)},
                finetuned_scores={"right": float(one.fine_tuned == one.gold)},
            )
        )


def _metrics(answers: Sequence[ChoiceAnswer], sets: Sequence[BenchmarkCard]) -> dict[str, float]:
    metrics = {}
    for one in results_of(answers, sets):
        metrics[f"{one.name}_base"] = one.comparison.accuracy_base
        metrics[f"{one.name}_fine_tuned"] = one.comparison.accuracy_fine_tuned
        metrics[f"{one.name}_mcnemar_p"] = one.comparison.mcnemar_p
    return metrics

"""The job `evaluate`: queries through the base and the fine-tuned model, scored.

Answers go to the job's `items.jsonl`; the event log gets scores only. A stopped evaluation goes on
after the items it has.
"""

from __future__ import annotations

from collections.abc import Sequence

from medqlora.data.entries import read_entries
from medqlora.domain.evaluation import ItemResult
from medqlora.domain.events import ItemEvaluated, Outcome, RunStopped, RunSucceeded, RunWarned
from medqlora.domain.reasoning import Spoken
from medqlora.evaluation.evaluator import MedicalQueryEvaluator
from medqlora.evaluation.metrics import mean_scores
from medqlora.runs.asking import LARGEST_BATCH, halved, load_both
from medqlora.runs.items import append_items, read_items
from medqlora.runs.job import Job
from medqlora.training.memory import MemoryMonitor


def evaluate(job: Job) -> Outcome:
    """Asks every query that has no answer yet and scores what has a reference."""
    with MemoryMonitor(job.report):
        return _evaluate(job)


def _evaluate(job: Job) -> Outcome:
    entries = read_entries(job.directory.queries)
    items = read_items(job.directory.items)
    model, tokenizer = load_both(job)
    evaluator = MedicalQueryEvaluator(tokenizer=tokenizer, **job.spec.options)
    job.report_phase("Asking both models", len(items) / len(entries))
    batch_size = LARGEST_BATCH
    while len(items) < len(entries):
        if job.should_stop():
            return RunStopped(step=len(items))
        batch = entries[len(items) : len(items) + batch_size]
        try:
            new = evaluator.evaluate_entries(batch, model, first_index=len(items) + 1)
        except (RuntimeError, MemoryError) as error:
            batch_size = halved(batch_size, error)
            continue
        append_items(job.directory.items, new)
        items += new
        _report(job, new, total=len(entries))
    _warn_of_unfinished(job, items)
    return RunSucceeded(metrics=_means(items))


def _report(job: Job, items: Sequence[ItemResult], *, total: int) -> None:
    for item in items:
        job.report(
            ItemEvaluated(
                index=item.index,
                total=total,
                base_scores=item.base.scores,
                finetuned_scores=item.finetuned.scores,
            )
        )


def _warn_of_unfinished(job: Job, items: Sequence[ItemResult]) -> None:
    """Says when answers ended before the model had thought to its end, and so count as empty."""
    base, tuned = (
        sum(Spoken.of(one.response).is_unfinished for one in side)
        for side in ([one.base for one in items], [one.finetuned for one in items])
    )
    if base or tuned:
        job.report(
            RunWarned(
                message=f"{base} answers before training and {tuned} after it, of {len(items)} "
                "each, ended while the model was still thinking aloud, and count as empty.",
                hint="Ask again with longer answers (max_new_tokens).",
            )
        )


def _means(items: Sequence[ItemResult]) -> dict[str, float]:
    scored = [item for item in items if item.reference is not None]
    base = mean_scores(item.base.scores for item in scored)
    tuned = mean_scores(item.finetuned.scores for item in scored)
    return {f"base_{name}": value for name, value in base.items()} | {
        f"finetuned_{name}": value for name, value in tuned.items()
    }

"""The job `evaluate`: queries through the base and the fine-tuned model, scored.

Answers go to the job's `items.jsonl`; the event log gets scores only. A stopped evaluation goes on
after the items it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from medqlora.config.qlora import QLoRAConfig
from medqlora.data.entries import read_entries
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.evaluation import ItemResult
from medqlora.domain.events import ItemEvaluated, Outcome, RunStopped, RunSucceeded, RunWarned
from medqlora.domain.reasoning import Spoken
from medqlora.evaluation.evaluator import MedicalQueryEvaluator
from medqlora.evaluation.metrics import mean_scores
from medqlora.models.engine_choice import asking_engine
from medqlora.models.loader import QuantizedModelLoader
from medqlora.runs.items import append_items, read_items
from medqlora.runs.job import Job
from medqlora.training.memory import MemoryMonitor

BATCH_SIZE = 8
"""Queries asked at once; each takes two rows of the batch."""


def evaluate(job: Job) -> Outcome:
    """Asks every query that has no answer yet and scores what has a reference."""
    with MemoryMonitor(job.report):
        return _evaluate(job)


def _evaluate(job: Job) -> Outcome:
    config = QLoRAConfig.from_dict(job.spec.config)
    entries = read_entries(job.directory.queries)
    items = read_items(job.directory.items)
    loader = QuantizedModelLoader(
        models_dir=Path(job.spec.models_dir), on_progress=job.report_phase
    )
    job.report_phase("Loading the model")
    engine = asking_engine()
    loaded = loader.load(config, engine=engine, adapter_path=job.spec.adapter_dir)
    model = engine.load_adapter(loaded.model, Path(job.spec.adapter_dir))
    evaluator = MedicalQueryEvaluator(tokenizer=loaded.tokenizer, **job.spec.options)
    job.report_phase("Asking both models", len(items) / len(entries))
    for batch in _batches(entries, start=len(items)):
        if job.should_stop():
            return RunStopped(step=len(items))
        new = evaluator.evaluate_entries(batch, model, first_index=len(items) + 1)
        append_items(job.directory.items, new)
        items += new
        for item in new:
            job.report(
                ItemEvaluated(
                    index=item.index,
                    total=len(entries),
                    base_scores=item.base.scores,
                    finetuned_scores=item.finetuned.scores,
                )
            )
    _warn_of_unfinished(job, items)
    return RunSucceeded(metrics=_means(items))


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


def _batches(
    entries: Sequence[MedicalDataEntry], *, start: int
) -> Iterator[Sequence[MedicalDataEntry]]:
    for first in range(start, len(entries), BATCH_SIZE):
        yield entries[first : first + BATCH_SIZE]


def _means(items: Sequence[ItemResult]) -> dict[str, float]:
    scored = [item for item in items if item.reference is not None]
    base = mean_scores(item.base.scores for item in scored)
    tuned = mean_scores(item.finetuned.scores for item in scored)
    return {f"base_{name}": value for name, value in base.items()} | {
        f"finetuned_{name}": value for name, value in tuned.items()
    }

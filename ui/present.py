"""Values of the domain become words and rows for the screen: no Gradio, no HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from medqlora.domain.dataset import ColumnMapping, DatasetCard, MedicalDataEntry, ValidationResult
from medqlora.domain.evaluation import ItemResult
from medqlora.domain.resources import EnvironmentConfig
from medqlora.domain.snapshot import Message, RunSnapshot
from medqlora.services.configuration import CatalogEntry, CompatibilityReport
from medqlora.services.evaluation import EvaluationOverview
from medqlora.services.training import RunSummary
from ui.markup import Tone

Option = tuple[str, str]
"""A label and the value behind it, as a drop-down takes them."""

STATES: Mapping[str, str] = {
    "waiting": "Waiting",
    "running": "Running",
    "succeeded": "Done",
    "stopped": "Stopped",
    "failed": "Failed",
}
TONES: Mapping[str, Tone] = {"succeeded": "good", "stopped": "warn", "failed": "bad"}
SEVERITIES: Mapping[str, Tone] = {"error": "bad", "warning": "warn", "info": "plain"}
METRICS: Mapping[str, str] = {
    "token_f1": "Token F1",
    "rouge_l": "ROUGE-L",
    "exact_match": "Exact match",
}
COUNTS: Mapping[str, str] = {
    "missing_or_empty": "Empty",
    "corrupted": "Unreadable",
    "dup_exact": "Repeated",
    "dup_prompt_conflict": "Same question, other answer",
    "resp_lt_3_words": "Answers under 3 words",
}
SHOWN_CHARS = 400
NONE = "-"


def shortened(text: str, limit: int = SHOWN_CHARS) -> str:
    """`text`, cut at a word with an ellipsis when it is longer than `limit` characters."""
    return text if len(text) <= limit else text[:limit].rsplit(" ", 1)[0] + " …"


def duration(seconds: float) -> str:
    """A time span to the precision that people care about."""
    if seconds < 60:
        return f"{max(round(seconds), 0)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def figure(value: float | None) -> str:
    """A measured value, or a dash where there is none; NaN is said in words."""
    if value is None:
        return NONE
    return (
        "not a number"
        if math.isnan(value)
        else f"{value:.3g}"
        if abs(value) < 1
        else f"{value:.2f}"
    )


def when(created_at: str) -> str:
    """An ISO time as day and minute."""
    return f"{datetime.fromisoformat(created_at):%d %b, %H:%M}"


# Datasets


def dataset_options(cards: Iterable[DatasetCard]) -> list[Option]:
    """The prepared datasets for a drop-down."""
    return [
        (
            f"{one.name} · {one.num_train + one.num_eval:,} entries",
            one.dataset_id,
        )
        for one in cards
    ]


def dataset_facts(checked: ValidationResult, card: DatasetCard | None) -> dict[str, str]:
    """The figures of a dataset that matter at a glance; findings of zero are left out."""
    counts = checked.counts
    shown = {"Entries": counts.rows, "Usable": counts.valid}
    if card:
        shown |= {"To learn from": card.num_train, "Held out": card.num_eval}
    found = {COUNTS[name]: getattr(counts, name) for name in COUNTS}
    shown |= {label: count for label, count in found.items() if count}
    return {label: f"{count:,}" for label, count in shown.items()}


def findings(
    checked: ValidationResult, warnings: Sequence[str] = ()
) -> list[tuple[str, Tone, str]]:
    """What checking found, most serious first: which rows, how serious, what."""
    rows: list[tuple[str, Tone, str]] = [
        (_rows(one.rows, one.count), SEVERITIES[one.severity], one.message)
        for one in checked.issues
    ]
    return rows + [("file", "warn", text) for text in warnings]


def _rows(rows: Sequence[int], count: int) -> str:
    if not rows:
        return f"{count}" if count else ""
    more = ", …" if count > len(rows[:3]) else ""
    return ("row " if count == 1 else "rows ") + ", ".join(map(str, rows[:3])) + more


def column_options(columns: Sequence[str], samples: Mapping[str, str]) -> list[Option]:
    """Columns for a drop-down, each with a value from the file where one is known."""
    return [
        (f"{one}: {shortened(samples[one], 60)}" if one in samples else one, one) for one in columns
    ]


def mapping_sentence(mapping: ColumnMapping) -> str:
    """How columns became questions and answers."""
    parts = [f"Question: {' + '.join(mapping.prompt)}", f"answer: {mapping.response}"]
    if mapping.context:
        parts.append(f"context: {mapping.context}")
    return f"{'; '.join(parts)}. {mapping.reason}".strip()


def entry_rows(entries: Iterable[MedicalDataEntry]) -> list[tuple[str, str]]:
    """Questions and answers, cut for a table; what a question refers to comes after it."""
    return [(shortened(_with_context_behind(one)), shortened(one.answer)) for one in entries]


def _with_context_behind(entry: MedicalDataEntry) -> str:
    return f"{entry.question}\n\nAbout: {entry.context}" if entry.context else entry.question


def asked(entry: MedicalDataEntry) -> str:
    """What the model is asked: the question after the text that it refers to, the text cut."""
    if not entry.context:
        return shortened(entry.question, 900)
    return f"{shortened(entry.context, 500)}\n\n{shortened(entry.question, 900)}"


def chat(entries: Iterable[MedicalDataEntry]) -> list[dict[str, str]]:
    """Entries as the turns of a conversation."""
    turns: list[dict[str, str]] = []
    for one in entries:
        turns.append({"role": "user", "content": asked(one)})
        turns.append({"role": "assistant", "content": shortened(one.answer, 900)})
    return turns


# The machine


def machine(environment: EnvironmentConfig) -> dict[str, str]:
    """The machine in tiles."""
    gpu = environment.gpu
    card = f"{gpu.name}, {gpu.total_gib:.0f} GiB" if gpu else "None"
    return {
        "Graphics card": card,
        "Memory": f"{environment.ram_gib:.0f} GiB",
        "Processor cores": str(environment.num_cpus),
        "Free disk": f"{environment.free_disk_gib:.0f} GiB",
    }


def model_note(entry: CatalogEntry | None, report: CompatibilityReport) -> str:
    """What is known of a model: what it is for, its size, its licence, the memory it takes."""
    parts = [entry.note, f"{entry.billion_parameters:.3g} billion parameters."] if entry else []
    if entry:
        parts.append(f"{entry.licence}.")
    if report.needed_gib is not None and report.available_gib is not None:
        parts.append(
            f"The smallest run takes about {report.needed_gib:.1f} GiB of memory, and "
            f"{report.available_gib:.1f} GiB are there."
        )
    return " ".join([*parts, *report.remarks])


# Runs


def run_options(runs: Iterable[RunSummary]) -> list[Option]:
    """Runs for a drop-down."""
    return [
        (f"{when(one.created_at)} · {STATES[one.state]} · {one.name}", one.run_id) for one in runs
    ]


def evaluation_options(evaluations: Iterable[EvaluationOverview]) -> list[Option]:
    """Evaluations for a drop-down."""
    return [
        (f"{when(one.created_at)} · {STATES[one.state]} · {one.name}", one.evaluation_id)
        for one in evaluations
    ]


def run_facts(snapshot: RunSnapshot) -> dict[str, str]:
    """A run's newest figures in tiles."""
    last = snapshot.last_step
    return {
        "Step": f"{last.step} of {last.total_steps}" if last else NONE,
        "Time left": _time_left(snapshot),
        "Loss": _newest(snapshot, "loss"),
        "Held-out loss": _newest(snapshot, "eval_loss"),
        "Tokens/s": f"{last.tokens_per_second:,.0f}" if last else NONE,
        "Peak memory": f"{snapshot.peak_memory_gib:.1f} GiB" if snapshot.peak_memory_gib else NONE,
    }


def _time_left(snapshot: RunSnapshot) -> str:
    if not snapshot.is_live:
        return NONE
    return duration(snapshot.last_step.seconds_left) if snapshot.last_step else "not yet known"


def _newest(snapshot: RunSnapshot, trace: str) -> str:
    points = snapshot.traces.get(trace)
    return figure(points[-1].y) if points else NONE


def run_detail(snapshot: RunSnapshot) -> str:
    """What stands at the end of a run's progress bar: that it is going on, and what is safe."""
    parts = [STATES[snapshot.state]] if snapshot.is_live else []
    if snapshot.checkpoint_step:
        parts.append(f"checkpoint of step {snapshot.checkpoint_step}")
    return " · ".join(parts)


def share_done(snapshot: RunSnapshot) -> float | None:
    """How full a run's progress bar is; None while that cannot be told."""
    if snapshot.is_live or snapshot.progress is not None:
        return snapshot.progress
    return 0.0


def messages(said: Sequence[Message]) -> list[tuple[str, Tone, str]]:
    """A run's sentences, newest first."""
    return [(f"{one.at:%H:%M:%S}", SEVERITIES[one.level], one.text) for one in reversed(said)]


# Evaluations

SUMMARY_HEADERS = ("Score", "Before", "After", "Difference", "What it means")


ITEM_HEADERS = ("", "Question", "Reference answer", "Before training", "After training")


def item_rows(items: Iterable[ItemResult]) -> list[tuple[str, ...]]:
    """Evaluated items, cut for a table."""
    return [
        (
            str(one.index),
            shortened(one.base.query),
            shortened(one.reference or NONE),
            shortened(one.base.response) + _scores(one.base.scores),
            shortened(one.finetuned.response) + _scores(one.finetuned.scores),
        )
        for one in items
    ]


def _scores(scores: Mapping[str, float]) -> str:
    named = (f"{METRICS.get(name, name)} {value:.2f}" for name, value in scores.items())
    text = " · ".join(named)
    return f"\n\n{text}" if text else ""

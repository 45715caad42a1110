"""Evaluations and exams become words and rows for the screen: no Gradio, no HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from medqlora.domain.evaluation import Claim, ItemResult
from medqlora.services.benchmarks import (
    BenchmarkChoice,
    BenchmarkPlan,
    BenchmarkResult,
    ExamOverview,
    PairedComparison,
)
from medqlora.services.evaluation import EvaluationSummary, MetricSummary
from ui.markup import Tone
from ui.present import NONE, STATES, Option, duration, shortened, when

# Beside each answer; the table above it has all.
METRICS: Mapping[str, str] = {
    "token_f1": "Token F1",
    "rouge_l": "ROUGE-L",
    "exact_match": "Exact match",
}

# Evaluations

SUMMARY_HEADERS = ("Score", "Before", "After", "Difference", "What it means")


LABEL_HEADERS = ("", "Answers", "Before", "After")


def summary_rows(summary: EvaluationSummary) -> list[tuple[str, ...]]:
    """The figures of an evaluation, and what each one means."""
    return [
        (
            one.label,
            _metric(one, one.mean_base),
            _metric(one, one.mean_finetuned),
            ("+" if one.difference >= 0 else "-") + _metric(one, abs(one.difference)),
            one.verdict,
        )
        for one in summary.metrics
    ]


def _metric(metric: MetricSummary, value: float) -> str:
    if metric.kind == "share":
        return f"{100 * value:.1f} %"
    return f"{value:.3f}" if metric.kind == "score" else f"{value:,.1f}"


def label_rows(summary: EvaluationSummary) -> list[tuple[str, ...]]:
    """Token F1 by specialty or another label."""
    return [
        (one.label, f"{one.num_items:,}", f"{one.mean_base:.3f}", f"{one.mean_finetuned:.3f}")
        for one in summary.by_label
    ]


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


# Exams

CLAIMS: Mapping[Claim, Tone] = {"better": "good", "worse": "bad", "none": "plain"}
PLAN_HEADERS = ("Exam", "Questions", "Shows differences from", "Time")
FIGURE_HEADERS = ("", "Before", "After")
SUBJECT_HEADERS = ("Subject", "Questions", "Before", "After", "Difference")


def exam_options(exams: Iterable[ExamOverview]) -> list[Option]:
    """Benchmark runs for a drop-down."""
    return [
        (f"{when(one.created_at)} · {STATES[one.state]} · {one.name}", one.exam_id) for one in exams
    ]


def benchmark_options(choices: Iterable[BenchmarkChoice]) -> list[Option]:
    """Benchmarks to tick."""
    return [
        (
            f"{one.label} · {one.num_items:,} questions"
            + ("" if one.is_here else " · from the hub"),
            one.name,
        )
        for one in choices
    ]


def plan_rows(plans: Iterable[BenchmarkPlan]) -> list[tuple[str, ...]]:
    """What benchmarks would show and cost."""
    return [
        (
            one.label,
            f"{one.num_items:,}",
            f"about {100 * one.detectable:.0f} points",
            _about(one.seconds),
        )
        for one in plans
    ]


def _about(seconds: float | None) -> str:
    if seconds is None:
        return "not yet known"
    return "under a minute" if seconds < 60 else f"about {duration(seconds)}"


def difference(comparison: PairedComparison) -> str:
    """A difference in points with its interval."""
    low, high = comparison.ci_difference
    return (
        f"{100 * comparison.difference:+.1f} points (95 % interval {100 * low:+.1f} to "
        f"{100 * high:+.1f})"
    )


def figure_rows(result: BenchmarkResult) -> list[tuple[str, ...]]:
    """A benchmark's further figures, before and after."""
    one = result.comparison
    return [
        ("Right only here", str(one.only_base_right), str(one.only_fine_tuned_right)),
        (
            "Could not be read",
            f"{100 * one.unparsable_base:.1f} %",
            f"{100 * one.unparsable_fine_tuned:.1f} %",
        ),
        ("Macro-F1", f"{result.macro_f1_base:.3f}", f"{result.macro_f1_fine_tuned:.3f}"),
    ]


def figures_sentence(result: BenchmarkResult) -> str:
    """The test behind a verdict, and what stands against it."""
    one = result.comparison
    return (
        f"Difference {difference(one)}; McNemar's exact p = {one.mcnemar_p:.2g}; both right on "
        f"{one.both_right:,} of {one.n:,}, both wrong on {one.both_wrong:,}. Guessing scores "
        f"{100 * result.chance:.0f} %, always answering {result.most_common} "
        f"{100 * result.most_common_share:.0f} %."
    )


def subject_rows(result: BenchmarkResult) -> list[tuple[str, ...]]:
    """A benchmark by subject."""
    return [
        (
            label,
            f"{one.n:,}",
            f"{100 * one.accuracy_base:.0f} %",
            f"{100 * one.accuracy_fine_tuned:.0f} %",
            difference(one),
        )
        for label, one in result.by_label.items()
    ]


def _scores(scores: Mapping[str, float]) -> str:
    named = (f"{label} {scores[name]:.2f}" for name, label in METRICS.items() if name in scores)
    text = " · ".join(named)
    return f"\n\n{text}" if text else ""

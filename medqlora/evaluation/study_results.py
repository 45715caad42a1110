"""Sections of the study report about what came out: training, evaluation, blind review."""

from __future__ import annotations

from collections.abc import Iterable

from medqlora.domain.document import Block, Bullets, Curves, Paragraph, Section, Table
from medqlora.domain.events import RunFailed, RunSucceeded
from medqlora.domain.memory_check import NOT_RECORDED
from medqlora.domain.review import ASPECTS
from medqlora.evaluation.blind_review import agreement_sentence, review_verdict
from medqlora.evaluation.study import EvaluationRecord, ReviewRecord, Study

NOT_DONE = Paragraph("Not done.", "missing")
_STATES = {
    "waiting": "had not begun",
    "running": "was still going on",
    "succeeded": "was completed",
    "stopped": "was stopped before its end",
    "failed": "failed",
}


def headline(study: Study) -> list[str]:
    """What a reader wants to know first, a sentence each."""
    said = [] if study.is_imported else [f"The training {_STATES[study.snapshot.state]}."]
    for one in study.evaluations:
        if one.summary:
            said += [f"{metric.label}: {metric.verdict}" for metric in one.summary.metrics]
    for review in study.reviews:
        if review.result:
            said.append(f"Blind review: {review_verdict(review.result)}")
    if not (study.evaluations or study.exams):
        said.append("Whether the model got better was not measured.")
    if not any(one.result for one in study.reviews):
        said.append("No clinician's blind rating is on record.")
    return said


def training_section(study: Study) -> Section:
    """How it ended, its curves and its memory."""
    snapshot = study.snapshot
    outcome = snapshot.outcome
    rows = [("Outcome", f"The run {_STATES[snapshot.state]}")]
    if isinstance(outcome, RunSucceeded):
        rows += [(name, f"{value:.6g}") for name, value in outcome.metrics.items()]
    if isinstance(outcome, RunFailed):
        rows.append(("Why", f"{outcome.message} {outcome.hint}"))
    memory = f"{snapshot.peak_memory_gib:.2f} GiB" if snapshot.peak_memory_gib else "not recorded"
    rows.append(("Peak memory", memory))
    check = snapshot.memory_check
    rows.append(("Memory forecast and measured peak", check.message if check else NOT_RECORDED))
    texts = [one.text for one in snapshot.messages]
    said: list[Block] = [Paragraph("What the run reported:"), Bullets(texts)] if texts else []
    return Section(
        "Training",
        (
            Table(rows),
            _curves(study, "Loss", {"training": "loss", "held-out": "eval_loss"}),
            _curves(study, "Learning rate", {"learning rate": "learning_rate"}),
            _curves(study, "Gradient norm", {"gradient norm": "grad_norm"}),
            _curves(
                study,
                "Memory in GiB",
                {"used": "memory_used_gib", "there is": "memory_limit_gib"},
                x_label="seconds since the start",
            ),
            *said,
        ),
    )


def _curves(study: Study, title: str, names: dict[str, str], *, x_label: str = "step") -> Curves:
    traces = study.snapshot.traces
    lines = {
        label: [(point.x, point.y) for point in traces[name]]
        for label, name in names.items()
        if name in traces
    }
    return Curves(title, x_label, lines)


def evaluation_section(study: Study) -> Section:
    """Free-text answers before and after training."""
    blocks: list[Block] = []
    for one in study.evaluations:
        blocks.append(Paragraph(_about(one)))
        if one.summary and one.summary.metrics:
            rows = [
                (
                    metric.label,
                    f"{metric.mean_base:.3f}",
                    f"{metric.mean_finetuned:.3f}",
                    f"{metric.difference:+.3f} ({metric.ci_difference[0]:+.3f} to "
                    f"{metric.ci_difference[1]:+.3f})",
                    metric.verdict,
                )
                for metric in one.summary.metrics
            ]
            headers = ("Score", "Before", "After", "Difference (95 % interval)", "What it means")
            blocks.append(Table(rows, headers))
        else:
            blocks.append(Paragraph("Without reference answers there are no scores.", "missing"))
    return Section("Evaluation on free-text answers", blocks or [NOT_DONE])


def benchmark_section(study: Study) -> Section:
    """Medical benchmarks before and after training."""
    return _by_metrics("Medical benchmarks", study.exams)


def safety_section(study: Study) -> Section:
    """The panel on forgetting and safety."""
    return _by_metrics("Forgetting and safety panel", study.panels)


def _by_metrics(title: str, records: Iterable[EvaluationRecord]) -> Section:
    blocks: list[Block] = []
    for one in records:
        blocks.append(Paragraph(_about(one)))
        if one.findings:
            blocks.append(Bullets(one.findings))
        if one.metrics:
            rows = [(name, f"{value:.4g}") for name, value in one.metrics.items()]
            blocks.append(Table(rows, ("Figure", "Value")))
    return Section(title, blocks or [NOT_DONE])


def _about(one: EvaluationRecord) -> str:
    settings = ", ".join(
        f"{name} {value}" for name, value in one.spec.options.items() if value not in (None, "")
    )
    asked = f" Settings: {settings}." if settings else ""
    return (
        f"{one.spec.name} ({one.spec.run_id}), begun {one.spec.created_at}, "
        f"{_STATES[one.state]}: {one.num_items} items answered.{asked}"
    )


def review_section(study: Study) -> Section:
    """What clinicians said of both models' answers without knowing which was which."""
    blocks = [block for one in study.reviews for block in _review(one)]
    return Section("Blind review", blocks or [NOT_DONE])


def _review(one: ReviewRecord) -> list[Block]:
    found, review = one.result, one.review
    if found is None or review is None:
        return [Paragraph(f"{one.name}: still blind; its result is not known yet.", "missing")]
    low, high = found.ci_win_rate
    rows = [
        ("Questions with a rating", f"{found.num_items} of {len(review.items)}"),
        ("Left out, both answers being the same", str(review.num_identical)),
        ("Raters", str(found.num_raters)),
        ("Ratings", str(found.num_ratings)),
        ("Fine-tuned model better", str(found.counts["fine_tuned"])),
        ("Base model better", str(found.counts["base"])),
        ("Both good", str(found.counts["both_good"])),
        ("Both bad", str(found.counts["both_bad"])),
        (
            "Win rate of the fine-tuned model (95 % interval)",
            f"{found.win_rate:.1%} ({low:.1%} to {high:.1%})",
        ),
        ("Sign test over the questions", f"p = {found.sign_p:.4f}"),
        ("Reference answers shown to raters", "yes" if review.shows_reference else "no"),
        ("Reasons to tick", ", ".join(ASPECTS.values())),
        ("Seed of the orders", str(review.seed)),
    ]
    return [
        Paragraph(f"{one.name}. {review_verdict(found)}"),
        Table(rows),
        Paragraph(agreement_sentence(found.agreement)),
        Paragraph(
            "Raters saw the questions in orders of their own, and which answer was A by chance. "
            "Ratings of one question are averaged first; both good and both bad count one half. "
            "The interval is Wilson's with the questions as n."
        ),
    ]

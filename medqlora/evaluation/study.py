"""What is known of a run when its report is written: one value, gathered by `services.report`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medqlora.domain.dataset import DatasetCard
from medqlora.domain.jobs import JobSpec
from medqlora.domain.review import Review
from medqlora.domain.snapshot import RunSnapshot, RunState
from medqlora.evaluation.blind_review import ReviewResult
from medqlora.evaluation.summary import EvaluationSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRecord:
    """One evaluation of the run.

    Attributes:
        spec: What was asked.
        state: How it stands.
        num_items: Items answered so far.
        summary: Scores of free-text answers; None for every other kind of evaluation.
        metrics: What it reported at its end, by name.
        findings: What came of it, in sentences.
    """

    spec: JobSpec
    state: RunState
    num_items: int
    summary: EvaluationSummary | None
    metrics: Mapping[str, float]
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRecord:
    """One blind review of the run's answers.

    Attributes:
        name: What raters see.
        review: Its questions and seed; None while it is blind.
        result: What came of it; None while it is blind.
    """

    name: str
    review: Review | None
    result: ReviewResult | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A run and all that was done with its adapter.

    Attributes:
        spec: What was asked of the run.
        snapshot: What happened.
        phases: What the run said it was doing, in order; the reason for its engine is among them.
        card: The dataset's card; None when the dataset is gone.
        is_sample: Whether the data is the sample that comes with medqlora.
        adapter_sha256: Hash of the adapter's weights; empty without an adapter.
        evaluations: On free-text answers, oldest first.
        exams: Medical benchmarks, oldest first.
        panels: Forgetting and safety, oldest first.
        reviews: Oldest first.
        unreadable: Names of records that are damaged and so not in the report.
        made_at: UTC time of the report, ISO 8601.
    """

    spec: JobSpec
    snapshot: RunSnapshot
    phases: tuple[str, ...]
    card: DatasetCard | None
    is_sample: bool
    adapter_sha256: str
    evaluations: tuple[EvaluationRecord, ...]
    exams: tuple[EvaluationRecord, ...]
    panels: tuple[EvaluationRecord, ...]
    reviews: tuple[ReviewRecord, ...]
    unreadable: tuple[str, ...]
    made_at: str

    @property
    def is_imported(self) -> bool:
        """Whether the adapter was made elsewhere, so that nothing of its making is on record."""
        return "num_train" not in self.spec.dataset

"""ReportService: the study report of a run as one HTML page, and as its adapter's model card.

It gathers what is on the disk; what the report says stands in `evaluation.study_report`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from medqlora.domain.dataset import DatasetCard
from medqlora.domain.document import Document
from medqlora.domain.events import PhaseChanged, RunSucceeded
from medqlora.errors import PersistenceError, StorageUnavailableError
from medqlora.evaluation.document_html import document_html
from medqlora.evaluation.document_markdown import document_markdown
from medqlora.evaluation.study import EvaluationRecord, ReviewRecord, Study
from medqlora.evaluation.study_report import study_document
from medqlora.evaluation.summary import summarise
from medqlora.persistence.adapters import CARD, WEIGHTS
from medqlora.persistence.atomic import write_text
from medqlora.runs.items import read_items
from medqlora.runs.run_directory import RunDirectory
from medqlora.services.asked_run import require_adapter
from medqlora.services.benchmarks import BenchmarkService
from medqlora.services.datasets import DatasetService
from medqlora.services.identity import sha256_of_file
from medqlora.services.jobs import JobService
from medqlora.services.panel import PanelService
from medqlora.services.review import ReviewService


class ReportService:
    """Reports of the workspace's runs.

    Args:
        datasets: The datasets' cards.
        evaluation: Evaluations on free-text answers.
        benchmarks: Medical benchmarks.
        panel: Panels on forgetting and safety.
        review: Blind reviews.
    """

    def __init__(
        self,
        datasets: DatasetService,
        evaluation: JobService,
        benchmarks: BenchmarkService,
        panel: PanelService,
        review: ReviewService,
    ) -> None:
        self._datasets = datasets
        self._evaluation = evaluation
        self._benchmarks = benchmarks
        self._panel = panel
        self._review = review

    def write(self, directory: RunDirectory, folder: Path) -> Path:
        """Writes the report into `folder`, the same as the adapter's card, and returns the page.

        Raises:
            PersistenceError: The run's record is damaged.
            DiskFullError: No space is left.
        """
        document = study_document(self.study(directory))
        path = folder / f"study-report-{directory.run_id}.html"
        write_text(path, document_html(document))
        if directory.adapter.is_dir():
            _write_card(directory, document)
        return path

    def write_card(self, directory: RunDirectory) -> None:
        """Writes the report beside the adapter, as its model card.

        Raises:
            EvaluationError: The run has no adapter.
            PersistenceError: The run's record is damaged.
            DiskFullError: No space is left.
        """
        require_adapter(directory)
        _write_card(directory, study_document(self.study(directory)))

    def study(self, directory: RunDirectory) -> Study:
        """Everything on record of a run.

        Raises:
            PersistenceError: The run's record is damaged.
        """
        spec = directory.spec()
        card = self._card(spec.dataset.get("dataset_id", ""))
        evaluations, damaged = _records(self._evaluation, directory.run_id, has_scores=True)
        exams, damaged_exams = _records(self._benchmarks, directory.run_id)
        exams = tuple(replace(one, findings=self._verdicts(one)) for one in exams)
        panels, damaged_panels = _records(self._panel, directory.run_id)
        panels = tuple(replace(one, findings=self._judged(one)) for one in panels)
        reviews = tuple(
            self._reviewed(one.review_id, one.name)
            for one in reversed(self._review.reviews())
            if one.run_id == directory.run_id
        )
        weights = directory.adapter / WEIGHTS
        return Study(
            spec=spec,
            snapshot=directory.snapshot(),
            phases=_phases(directory),
            card=card,
            is_sample=card is not None and card.source_sha256 == sha256_of_file(None),
            adapter_sha256=_sha256(weights) if weights.is_file() else "",
            evaluations=evaluations,
            exams=exams,
            panels=panels,
            reviews=reviews,
            unreadable=(*damaged, *damaged_exams, *damaged_panels, *self._review.unreadable),
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _card(self, dataset_id: str) -> DatasetCard | None:
        try:
            return self._datasets.card(dataset_id)
        except (PersistenceError, StorageUnavailableError):
            return None

    def _verdicts(self, exam: EvaluationRecord) -> tuple[str, ...]:
        return tuple(
            f"{one.label}: before {_share(one.comparison.accuracy_base, one.comparison.ci_base)}, "
            f"after {_share(one.comparison.accuracy_fine_tuned, one.comparison.ci_fine_tuned)}, "
            f"{one.comparison.n} questions, guessing {one.chance:.1%}. {one.verdict}"
            for one in self._benchmarks.results(exam.spec.run_id)
        )

    def _judged(self, panel: EvaluationRecord) -> tuple[str, ...]:
        return tuple(
            f"{one.category.label}: passed before "
            f"{_share(one.comparison.accuracy_base, one.comparison.ci_base)}, after "
            f"{_share(one.comparison.accuracy_fine_tuned, one.comparison.ci_fine_tuned)}, "
            f"{one.comparison.n} items. {one.verdict}"
            for one in self._panel.rows(panel.spec.run_id)
        )

    def _reviewed(self, review_id: str, name: str) -> ReviewRecord:
        if not self._review.is_unblinded(review_id):
            return ReviewRecord(name=name, review=None, result=None)
        return ReviewRecord(
            name=name,
            review=self._review.review(review_id),
            result=self._review.result(review_id),
        )


def _write_card(directory: RunDirectory, document: Document) -> None:
    card = document_markdown(document, front_matter=_front_matter(directory))
    write_text(directory.adapter / CARD, card)


def _share(share: float, interval: tuple[float, float]) -> str:
    return f"{share:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"


def _records(
    jobs: JobService, run_id: str, *, has_scores: bool = False
) -> tuple[tuple[EvaluationRecord, ...], tuple[str, ...]]:
    """A run's jobs of one service, oldest first, and the ids of damaged ones of any run."""
    found, damaged = [], []
    for directory in reversed(jobs.directories()):
        try:
            if directory.spec().dataset["run_id"] == run_id:
                found.append(_evaluated(directory, has_scores=has_scores))
        except PersistenceError:
            damaged.append(directory.run_id)
    return tuple(found), tuple(damaged)


def _evaluated(directory: RunDirectory, *, has_scores: bool) -> EvaluationRecord:
    spec, snapshot = directory.spec(), directory.snapshot()
    outcome = snapshot.outcome
    items = read_items(directory.items) if has_scores else []
    return EvaluationRecord(
        spec=spec,
        state=snapshot.state,
        num_items=len(items) or snapshot.items_done,
        summary=summarise(items) if items else None,
        metrics=outcome.metrics if isinstance(outcome, RunSucceeded) else {},
    )


def _phases(directory: RunDirectory) -> tuple[str, ...]:
    told = (one.phase for one in directory.read_events() if isinstance(one, PhaseChanged))
    return tuple(dict.fromkeys(told))


def _front_matter(directory: RunDirectory) -> dict[str, object]:
    name = directory.spec().config["model_name"]
    return {
        "library_name": "peft",
        # A model that is no repository of the hub cannot be named to it.
        **({"base_model": name} if "/" in name else {}),
        "tags": ["medqlora", "qlora", "medical", "research-only"],
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""EvaluationService: queries through a run's base and fine-tuned model, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medqlora.data.entries import read_entries
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.evaluation import ItemResult
from medqlora.domain.snapshot import RunState
from medqlora.errors import EvaluationError
from medqlora.evaluation.summary import EvaluationSummary, MetricSummary, summarise
from medqlora.evaluation.table import write_csv
from medqlora.persistence.workspace import Workspace
from medqlora.runs.items import read_items
from medqlora.runs.run_directory import RunDirectory, new_run_id
from medqlora.services.asked_run import check_request, make_evaluation
from medqlora.services.jobs import JobService
from medqlora.services.screening import ScreeningService
from medqlora.services.training import TrainingService

__all__ = ["EvaluationOverview", "EvaluationService", "EvaluationSummary", "MetricSummary"]

MAX_QUERIES = 200
MAX_QUERY_CHARS = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOverview:
    """One line of the list of evaluations.

    Attributes:
        evaluation_id: The evaluation.
        run_id: The run whose adapter was asked.
        name: What the user sees.
        state: How it stands.
        created_at: UTC time, ISO 8601.
        num_items: Queries in all.
    """

    evaluation_id: str
    run_id: str
    name: str
    state: RunState
    created_at: str
    num_items: int


class EvaluationService(JobService):
    """Evaluations of the workspace.

    Args:
        workspace: The workspace.
        training: The runs whose adapters are asked.
        screening: The PHI screen for what is exported.
    """

    def __init__(
        self, workspace: Workspace, training: TrainingService, screening: ScreeningService
    ) -> None:
        super().__init__(workspace, workspace.evaluations)
        self._training = training
        self._screening = screening

    def start(
        self,
        run_id: str,
        *,
        queries: Sequence[str] | None = None,
        limit: int = 24,
        max_new_tokens: int = 96,
    ) -> str:
        """Starts an evaluation and returns its id.

        Args:
            run_id: A run with an adapter.
            queries: What to ask; the run's held-out entries when not given.
            limit: How many of the held-out entries are asked, from the first on.
            max_new_tokens: Longest answer in tokens.

        Raises:
            EvaluationError: The run has no adapter, or there is nothing to ask.
            GpuBusyError: Another job has the machine.
        """
        run = self._training.directory(run_id)
        check_request(run, max_new_tokens=max_new_tokens)
        entries = held_out(run, limit=limit) if queries is None else from_queries(queries)
        evaluation_id = new_run_id(run.spec().dataset["name"])
        path = self._folder / evaluation_id
        return self._begin(
            evaluation_id,
            lambda: self.create(run, entries, path=path, max_new_tokens=max_new_tokens),
        )

    def create(
        self,
        run: RunDirectory,
        entries: Sequence[MedicalDataEntry],
        *,
        path: Path,
        max_new_tokens: int,
    ) -> RunDirectory:
        """Makes the directory of an evaluation without starting it; see `start` for the errors."""
        return make_evaluation(
            run,
            entries,
            path=path,
            name=f"{run.spec().name}, {len(entries)} queries",
            max_new_tokens=max_new_tokens,
        )

    def items(self, evaluation_id: str) -> tuple[ItemResult, ...]:
        """The answers so far."""
        return tuple(read_items(self.directory(evaluation_id).items))

    def summary(self, evaluation_id: str) -> EvaluationSummary:
        """Means, differences and verdicts over the answers so far."""
        return summarise(self.items(evaluation_id))

    def write_csv(self, evaluation_id: str, folder: Path) -> Path:
        """Writes the answers so far as a spreadsheet into `folder` and returns the file.

        Questions that somebody typed, and what was answered to them, leave with what the PHI screen
        finds masked; entries of a dataset went through the screen before.
        """
        path = folder / f"{self.directory(evaluation_id).run_id}.csv"
        write_csv(path, [self._exported(one) for one in self.items(evaluation_id)])
        return path

    def _exported(self, item: ItemResult) -> ItemResult:
        if item.reference is not None:
            return item
        base, finetuned = (
            replace(
                one,
                query=self._screening.masked(one.query),
                response=self._screening.masked(one.response),
            )
            for one in (item.base, item.finetuned)
        )
        return replace(item, base=base, finetuned=finetuned)

    def evaluations(self) -> tuple[EvaluationOverview, ...]:
        """All evaluations, newest first."""
        return self.readable(self._overview)

    def _overview(self, directory: RunDirectory) -> EvaluationOverview:
        spec = directory.spec()
        return EvaluationOverview(
            evaluation_id=spec.run_id,
            run_id=spec.dataset["run_id"],
            name=spec.name,
            state=self.snapshot(spec.run_id).state,
            created_at=spec.created_at,
            num_items=spec.dataset["num_queries"],
        )


def held_out(run: RunDirectory, *, limit: int) -> list[MedicalDataEntry]:
    """The first held-out entries of a run.

    Raises:
        EvaluationError: `limit` is out of range, or nothing was held out.
    """
    if not 1 <= limit <= MAX_QUERIES:
        raise EvaluationError(
            f"The number of entries must be between 1 and {MAX_QUERIES}, got {limit}.",
            hint="24 gives a first impression in a few minutes.",
        )
    entries = read_entries(run.eval_entries)[:limit]
    if not entries:
        raise EvaluationError(
            "This run held no entries out.",
            hint="Ask queries of your own, or train again with a held-out share.",
        )
    return entries


def from_queries(queries: Sequence[str]) -> list[MedicalDataEntry]:
    """A user's own queries as entries without a reference answer.

    Raises:
        EvaluationError: There is none, there are too many, or one is too long.
    """
    asked = [query.strip() for query in queries if query.strip()]
    if not 1 <= len(asked) <= MAX_QUERIES:
        raise EvaluationError(
            f"Between 1 and {MAX_QUERIES} queries can be asked at once, got {len(asked)}.",
            hint="Write one query a line.",
        )
    longest = max(map(len, asked))
    if longest > MAX_QUERY_CHARS:
        raise EvaluationError(
            f"A query has {longest:,} characters; at most {MAX_QUERY_CHARS:,} are read.",
            hint="Shorten it, or split it into several.",
        )
    return [MedicalDataEntry(question=query, answer="") for query in asked]

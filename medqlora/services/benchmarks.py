"""BenchmarkService: multiple-choice benchmarks before and after training, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medqlora.domain.benchmark import OWN, BenchmarkCard, ChoiceItem, Question
from medqlora.domain.dataset import ColumnMapping
from medqlora.domain.events import RunSucceeded
from medqlora.domain.snapshot import RunState
from medqlora.errors import EvaluationError
from medqlora.evaluation.benchmark_results import BenchmarkResult, answers_csv, results_of
from medqlora.evaluation.benchmark_sets import add_file
from medqlora.evaluation.benchmarks import BENCHMARKS
from medqlora.evaluation.statistics import PairedComparison
from medqlora.persistence.atomic import write_text
from medqlora.persistence.workspace import Workspace
from medqlora.runs.attempts import nothing_to_resume
from medqlora.runs.benchmark_job import CHARS_PER_SECOND, read_questions, read_sets
from medqlora.runs.items import read_answers
from medqlora.runs.run_directory import RunDirectory, new_run_id
from medqlora.services.asked_run import asking_spec, require_adapter
from medqlora.services.benchmark_choices import (
    BenchmarkChoice,
    BenchmarkPlan,
    choices_in,
    chosen,
    plan_of,
    unknown,
)
from medqlora.services.jobs import JobService
from medqlora.services.screening import ScreeningService
from medqlora.services.training import TrainingService

__all__ = [
    "BenchmarkChoice",
    "BenchmarkPlan",
    "BenchmarkResult",
    "BenchmarkService",
    "ExamOverview",
    "PairedComparison",
]

SEED = 0
CHARS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamOverview:
    """One line of the list of benchmark runs.

    Attributes:
        exam_id: The benchmark run.
        run_id: The run whose adapter was asked.
        name: What the user sees.
        state: How it stands.
        created_at: UTC time, ISO 8601.
    """

    exam_id: str
    run_id: str
    name: str
    state: RunState
    created_at: str


class BenchmarkService(JobService):
    """Benchmarks of the workspace.

    Args:
        workspace: The workspace.
        training: The runs whose adapters are asked.
        screening: The PHI screen for what is exported.
    """

    def __init__(
        self, workspace: Workspace, training: TrainingService, screening: ScreeningService
    ) -> None:
        super().__init__(workspace, workspace.exams)
        self._training = training
        self._screening = screening

    def choices(self) -> tuple[BenchmarkChoice, ...]:
        """The published benchmarks, then the user's own."""
        return choices_in(self._workspace.benchmarks)

    def add(
        self, path: Path, *, template: str = OWN, mapping: ColumnMapping | None = None
    ) -> BenchmarkCard:
        """Makes a benchmark of a file.

        Args:
            path: The file.
            template: The published benchmark that it holds, or `own`.
            mapping: What its columns mean; found out when not given.

        Raises:
            EvaluationError: It holds no questions that can be asked.
            DataError: It cannot be read.
        """
        if template != OWN and template not in BENCHMARKS:
            raise unknown(template)
        return add_file(self._workspace.benchmarks, path, template=template, mapping=mapping)

    def plan(
        self, run: RunDirectory, names: Sequence[str], *, num_items: int
    ) -> tuple[BenchmarkPlan, ...]:
        """What the benchmarks would show and cost; see `start` for the arguments and errors."""
        pace = self._chars_per_second(run)
        return tuple(
            plan_of(one, num_items, pace) for one in chosen(self._workspace.benchmarks, names)
        )

    def start(self, run_id: str, names: Sequence[str], *, num_items: int) -> str:
        """Starts benchmarks and returns the id of their job.

        Args:
            run_id: A run with an adapter.
            names: The benchmarks, from `choices`.
            num_items: Questions of each, drawn at random; 0 for all.

        Raises:
            EvaluationError: The run has no adapter, or there is nothing to ask.
            GpuBusyError: Another job has the machine.
        """
        run = self._training.directory(run_id)
        self._check(run, names, num_items)
        exam_id = new_run_id("-".join(names))
        return self._begin(
            exam_id,
            lambda: self.create(run, names, num_items=num_items, path=self._folder / exam_id),
        )

    def create(
        self, run: RunDirectory, names: Sequence[str], *, num_items: int, path: Path
    ) -> RunDirectory:
        """Makes the directory of a job without starting it; see `start` for the errors."""
        self._check(run, names, num_items)
        labels = ", ".join(one.label for one in chosen(self._workspace.benchmarks, names))
        how_many = f"{num_items:,} questions each" if num_items else "all questions"
        options = {
            "benchmarks": list(names),
            "benchmarks_dir": str(self._workspace.benchmarks),
            "num_items": num_items,
            "seed": SEED,
        }
        name = f"{labels}, {how_many}"
        spec = asking_spec(run, job_id=path.name, kind="benchmark", name=name, options=options)
        return RunDirectory.create(path, spec)

    def resumable(self, exam_id: str) -> RunDirectory:
        """The directory of a job that ended before it was done.

        Raises:
            PersistenceError: It is done or running, or there is none.
        """
        directory = self.directory(exam_id)
        if not directory.snapshot().can_resume:
            raise nothing_to_resume()
        return directory

    def results(self, exam_id: str) -> tuple[BenchmarkResult, ...]:
        """The figures over the answers so far.

        Raises:
            PersistenceError: Its record is damaged.
        """
        directory = self.directory(exam_id)
        return results_of(read_answers(directory.items), read_sets(directory))

    def write_csv(self, exam_id: str, folder: Path) -> Path:
        """Writes the answers so far as a spreadsheet into `folder` and returns the file.

        A user's own questions leave with what the PHI screen finds masked.
        """
        directory = self.directory(exam_id)
        path = folder / f"{directory.run_id}.csv"
        text = answers_csv(
            read_answers(directory.items), read_questions(directory), shown=self._exported
        )
        write_text(path, text)
        return path

    def exams(self) -> tuple[ExamOverview, ...]:
        """All benchmark runs, newest first."""
        return self.readable(self._overview)

    def _overview(self, directory: RunDirectory) -> ExamOverview:
        spec = directory.spec()
        return ExamOverview(
            exam_id=spec.run_id,
            run_id=spec.dataset["run_id"],
            name=spec.name,
            state=self.snapshot(spec.run_id).state,
            created_at=spec.created_at,
        )

    def _exported(self, question: Question) -> ChoiceItem:
        item = question.item
        if question.template != OWN:
            return item
        masked = self._screening.masked
        return replace(
            item,
            question=masked(item.question),
            context=masked(item.context),
            options=tuple(masked(option) for option in item.options),
        )

    def _check(self, run: RunDirectory, names: Sequence[str], num_items: int) -> None:
        require_adapter(run)
        if not names or len(set(names)) < len(names):
            raise EvaluationError(
                "No benchmark was chosen, or one twice.", hint="Choose at least one, each once."
            )
        if num_items < 0:
            raise EvaluationError(
                f"The number of questions cannot be {num_items}.", hint="0 asks all of them."
            )
        chosen(self._workspace.benchmarks, names)

    def _chars_per_second(self, run: RunDirectory) -> float | None:
        """How fast both models of a run read here: measured before, else guessed from training."""
        model = run.spec().config["model_name"]
        for exam in self.exams():
            outcome = self.snapshot(exam.exam_id).outcome
            is_same = self.spec(exam.exam_id).config["model_name"] == model
            if (
                is_same
                and isinstance(outcome, RunSucceeded)
                and CHARS_PER_SECOND in outcome.metrics
            ):
                return outcome.metrics[CHARS_PER_SECOND]
        last = run.snapshot().last_step
        if last is None:
            return None
        # Reading is less work than learning, but scores every word at every place: measured with
        # the embedded model on a CPU, both models together read half as fast as one learns.
        return last.tokens_per_second * CHARS_PER_TOKEN / 2

"""What evaluations, safety panels and benchmarks share: a job that asks what a run has trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medqlora.data.entries import write_entries
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.jobs import JobKind, JobSpec
from medqlora.errors import EvaluationError
from medqlora.runs.run_directory import RunDirectory, recorded_versions

MAX_NEW_TOKENS = 1_024


def asking_spec(
    run: RunDirectory, *, job_id: str, kind: JobKind, name: str, options: dict[str, Any]
) -> JobSpec:
    """What a job is told that asks a run's base model and its adapter.

    Args:
        run: A run with an adapter.
        job_id: The job.
        kind: What it does.
        name: What the user sees.
        options: What that kind needs.
    """
    trained = run.spec()
    return JobSpec(
        run_id=job_id,
        kind=kind,
        name=name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        config=trained.config,
        models_dir=trained.models_dir,
        dataset={**trained.dataset, "run_id": run.run_id},
        adapter_dir=str(run.adapter),
        options=options,
        versions=recorded_versions(),
    )


def make_evaluation(
    run: RunDirectory,
    entries: Sequence[MedicalDataEntry],
    *,
    path: Path,
    name: str,
    max_new_tokens: int,
) -> RunDirectory:
    """Makes the directory of a job that answers queries, without starting it.

    Args:
        run: A run with an adapter.
        entries: What is asked.
        path: The directory.
        name: What the user sees.
        max_new_tokens: Longest answer in tokens.

    Raises:
        EvaluationError: See `check_request`.
        PersistenceError: Something is there already.
        DiskFullError: No space is left.
    """
    check_request(run, max_new_tokens=max_new_tokens)
    options = {"max_new_tokens": max_new_tokens}
    spec = asking_spec(run, job_id=path.name, kind="evaluate", name=name, options=options)
    counted = replace(spec, dataset={**spec.dataset, "num_queries": len(entries)})
    return RunDirectory.create(
        path, counted, fill=lambda made: write_entries(made.queries, entries)
    )


def check_request(run: RunDirectory, *, max_new_tokens: int) -> None:
    """Refuses what cannot be asked, before the machine is taken.

    Raises:
        EvaluationError: The run has no adapter, or the length is out of range.
    """
    require_adapter(run)
    if not 1 <= max_new_tokens <= MAX_NEW_TOKENS:
        raise EvaluationError(
            f"The longest answer must be between 1 and {MAX_NEW_TOKENS} tokens, got "
            f"{max_new_tokens}.",
            hint="96 shows most short answers whole.",
        )


def require_adapter(run: RunDirectory) -> None:
    """Refuses a run that has nothing to ask.

    Raises:
        EvaluationError: It has no adapter.
    """
    if not run.adapter.is_dir():
        raise EvaluationError(
            "This run has no adapter yet.",
            hint="Let it train to its end, or choose a finished run.",
        )

"""An evaluation as it lies on disk once its worker is done, for tests that review its answers."""

from __future__ import annotations

from collections.abc import Sequence

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.evaluation import EvaluationResult, ItemResult
from medqlora.domain.events import RunStarted, RunSucceeded
from medqlora.domain.jobs import JobSpec
from medqlora.evaluation.metrics import score
from medqlora.persistence.workspace import Workspace
from medqlora.runs.event_log import EventLogWriter
from medqlora.runs.items import append_items
from medqlora.runs.run_directory import RunDirectory

RUN, EVALUATION = "20261122-000000-trained-0000", "20261122-000100-asked-0000"


def write_evaluation(
    workspace: Workspace,
    answers: Sequence[tuple[str, str]],
    *,
    is_over: bool = True,
    evaluation_id: str = EVALUATION,
) -> str:
    """Writes an evaluation with these answers, base model first, and returns its id."""
    spec = JobSpec(
        run_id=evaluation_id,
        kind="evaluate",
        name="asked",
        created_at="2026-11-22T00:01:00+00:00",
        config=QLoRAConfig(EMBEDDED_MODEL).to_dict(),
        models_dir=str(workspace.models),
        dataset={"run_id": RUN, "name": "asked", "num_queries": len(answers)},
        options={"max_new_tokens": 64},
    )
    directory = RunDirectory.create(workspace.evaluations / evaluation_id, spec)
    items = [
        ItemResult(
            index=number,
            reference=f"Reference {number}",
            base=_result(number, base),
            finetuned=_result(number, tuned),
        )
        for number, (base, tuned) in enumerate(answers, 1)
    ]
    if items:
        append_items(directory.items, items)
    with EventLogWriter(directory.events, run_id=evaluation_id) as log:
        log.append(RunStarted(job="evaluate"))
        if is_over:
            log.append(RunSucceeded())
    return evaluation_id


def pairs(number: int) -> list[tuple[str, str]]:
    """So many pairs of answers, each of which tells who gave it."""
    return [(f"plain words {n}", f"learnt words {n}") for n in range(1, number + 1)]


def _result(number: int, response: str) -> EvaluationResult:
    return EvaluationResult(
        query=f"Question {number}?",
        response=response,
        num_tokens=3,
        seconds=1.0,
        scores=score(response, f"Reference {number}"),
    )

"""The steps of the tabs as calls for a notebook cell, each printing how it goes.

A thin face of the services, as `__main__` is for the command line. Settings need no such face: a
cell calls `services.configuration`. Interrupting a cell stops its job politely; a checkpoint is
kept.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import cast, get_args

from medqlora.colab.notebook import show_frame
from medqlora.config.qlora import QLoRAConfig
from medqlora.data.columns import parse_mapping
from medqlora.domain.dataset import DatasetCard
from medqlora.domain.events import RunFailed
from medqlora.domain.generation import GenerationSettings
from medqlora.domain.phi import PhiAction
from medqlora.domain.preparing import Choices
from medqlora.domain.snapshot import RunSnapshot
from medqlora.errors import ConfigError, PersistenceError
from medqlora.persistence.atomic import translated_os_errors
from medqlora.services import Services
from medqlora.services.chat import ChatUpdate
from medqlora.services.jobs import JobService, failure_of
from medqlora.services.mirrored import MirrorStatus
from medqlora.services.page import start_page, stop_page

LINK_AND_LOGIN = (
    "The public link asks everybody who they are. Two links are printed below, each with a "
    "password: the owner's opens everything, so keep it; the reviewers' opens Compare alone, for "
    "those who try questions. The frame asks as well. To do without a public link, untick "
    "share_link and run this cell again."
)
_POLL_SECONDS = 0.5
_MIRROR_SECONDS = 60.0
_WIDTH = 100


def open_page(workspace: Path, *, port: int, share_link: bool) -> None:
    """Starts the page and shows it in a frame under the cell; see `page.start_page` for errors."""
    if share_link:
        print(LINK_AND_LOGIN, flush=True)
    start_page(workspace, port=port, share_link=share_link)
    show_frame(port)


def close_page(workspace: Path) -> None:
    """Stops the page; a training that is going on goes on."""
    print("The page is stopped." if stop_page(workspace) else "No page is running.")


def prepare(
    services: Services,
    dataset: str,
    *,
    columns: str = "",
    phi: str = "",
    phi_confirmation: str = "",
) -> DatasetCard:
    """Reads, screens and splits a file, with a progress line, and says what came of it.

    Args:
        services: The backend.
        dataset: A file, or `sample`.
        columns: What its columns mean, such as `prompt=question,response=answer`; found out when
            empty.
        phi: What to do with what the PHI screen finds: `mask`, `surrogate`, `drop` or `keep`;
            empty asks.
        phi_confirmation: Typed for `keep`.

    Raises:
        MedQLoRAError: The file cannot be used, or something has to be said first.
    """
    if phi not in ("", *get_args(PhiAction)):
        raise ConfigError(
            f"phi cannot be {phi[:40]}.", hint="Write mask, surrogate, drop or keep, or nothing."
        )
    card = services.datasets.prepare(
        None if dataset == "sample" else Path(dataset),
        mapping=parse_mapping(columns) if columns else None,
        choices=Choices(
            phi=cast(PhiAction, phi) if phi else None, phi_confirmation=phi_confirmation
        ),
        on_snapshot=lambda snapshot: _show(_line(snapshot)),
    )
    print(f"\n{card.name}: {card.num_train} entries to train on, {card.num_eval} held out.")
    print(*card.warnings, sep="\n")
    _say(services.mirror.wait_until_dataset_safe(card.dataset_id, _MIRROR_SECONDS))
    return card


def train(services: Services, config: QLoRAConfig, dataset_id: str) -> str:
    """Trains on a prepared dataset, with a progress line, and returns the run's id.

    Raises:
        MedQLoRAError: It could not start, or it failed.
    """
    run_id = services.training.start(config, dataset_id)
    _follow(services.training, run_id)
    _say_how_safe(services, run_id)
    return run_id


def resume(services: Services, *, accept_differences: bool = False) -> str:
    """Goes on with the newest run that ended before it was done, and returns its id.

    On a new machine that is the last one in the mirror.

    Args:
        services: The backend.
        accept_differences: See `TrainingService.resume`.

    Raises:
        PersistenceError: There is none.
        CheckpointDiffersError: Versions, settings or data are not those of its checkpoint.
        MedQLoRAError: It could not start, or it failed.
    """
    services.training.attach()
    run_id = next((run.run_id for run in services.training.runs() if run.can_resume), None)
    if run_id is None and services.mirror.is_set():
        restored = services.mirror.restore()
        print(restored.message)
        if not restored.can_resume:
            return restored.run_id
        run_id = restored.run_id
    if run_id is None:
        raise PersistenceError(
            "No run of this workspace was interrupted.", hint="Untick resume to train anew."
        )
    services.training.resume(run_id, accept_differences=accept_differences)
    _follow(services.training, run_id)
    _say_how_safe(services, run_id)
    return run_id


def evaluate(services: Services, run_id: str, *, limit: int = 24, max_new_tokens: int = 96) -> str:
    """Asks held-out entries before and after training, prints the scores, returns the id.

    Raises:
        MedQLoRAError: It could not start, or it failed.
    """
    evaluation_id = services.evaluation.start(run_id, limit=limit, max_new_tokens=max_new_tokens)
    _follow(services.evaluation, evaluation_id)
    _say_how_safe(services, run_id)
    summary = services.evaluation.summary(evaluation_id)
    print(f"{summary.num_scored} answers scored against their references; scores run from 0 to 1:")
    for one in summary.metrics:
        means = f"before {one.mean_base:.3f}, after {one.mean_finetuned:.3f}"
        print(f"{one.label}: {means}. {one.verdict}")
    return evaluation_id


def compare(
    services: Services, run_id: str, question: str, *, max_new_tokens: int = 160
) -> ChatUpdate:
    """Asks both models one question and prints both answers; nothing of it reaches a disk.

    Raises:
        MedQLoRAError: The question is empty, the run has no adapter, or the machine is busy.
    """
    turns = [{"role": "user", "content": question}]
    settings = GenerationSettings(max_new_tokens=max_new_tokens)
    try:
        for update in services.chat.stream(
            run_id, base_turns=turns, tuned_turns=turns, settings=settings
        ):
            _show(update.phase)
    finally:
        services.chat.close()  # the page may want the machine
    print(f"\n\nBEFORE TRAINING\n{update.base_text}\n\nAFTER TRAINING\n{update.tuned_text}")
    return update


def save(services: Services, run_id: str) -> Path:
    """Packs the adapter of a run, its model card with it, as a zip file in the workspace.

    Returns the file.

    Raises:
        PersistenceError: The run has no adapter.
        DiskFullError: No space is left.
    """
    adapter = services.training.directory(run_id).adapter
    if not adapter.is_dir():
        raise PersistenceError(
            "This run has no adapter yet.", hint="Let it train to its end, or resume it."
        )
    services.report.write_card(services.training.directory(run_id))
    target = services.workspace.root / f"{run_id}-adapter"
    with translated_os_errors(target.parent):
        return Path(
            shutil.make_archive(str(target), "zip", root_dir=adapter.parent, base_dir=adapter.name)
        )


def _follow(jobs: JobService, run_id: str) -> None:
    """Prints how a job stands until it is over.

    Raises:
        MedQLoRAError: It failed; of the kind that the job reported.
    """
    while True:
        try:
            snapshot = jobs.snapshot(run_id)
            _show(_line(snapshot))
            if not snapshot.is_live:
                break
            time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            jobs.stop(run_id)
    print()
    if isinstance(snapshot.outcome, RunFailed):
        raise failure_of(snapshot)


def _say_how_safe(services: Services, run_id: str) -> None:
    """Says whether the mirror has the run, if there is one; waits for that a while."""
    _say(services.mirror.wait_until_safe(run_id, _MIRROR_SECONDS))


def _say(kept: MirrorStatus | None) -> None:
    if kept:
        print(kept.message)


def _line(snapshot: RunSnapshot) -> str:
    step = snapshot.last_step
    if step:
        return f"{snapshot.phase}: step {step.step} of {step.total_steps}, loss {step.loss:.3f}"
    if snapshot.items_total:
        return f"{snapshot.phase}: {snapshot.items_done} of {snapshot.items_total}"
    return snapshot.phase


def _show(line: str) -> None:
    """Writes over the line before."""
    print(f"\r{line[:_WIDTH]:<{_WIDTH}}", end="", flush=True)

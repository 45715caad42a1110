"""What belongs to a run and lies beside it: its evaluations, exams, panels, reviews, dataset card.

It is copied with the run and comes back with it. A dataset's entries are not copied again: the run
has its own, which are the same. Work that is going on is left out until it is over.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from medqlora.config.qlora import QLoRAConfig
from medqlora.data.preparing.prepared import CARD, check_prepared
from medqlora.domain.jobs import JobSpec
from medqlora.errors import MedQLoRAError
from medqlora.models.catalog import check_id
from medqlora.persistence.atomic import translated_os_errors, write_json
from medqlora.persistence.mirror_manifest import RELATED
from medqlora.persistence.review_folder import ReviewFolder
from medqlora.persistence.workspace import Workspace, is_id
from medqlora.runs.process import recorded_process
from medqlora.runs.run_directory import RunDirectory

_JOBS = ("evaluations", "exams", "panels")
_JOB_FILES = ("run.json", "events.jsonl", "items.jsonl", "data/*.json", "data/*.jsonl")
_REVIEW_FILES = ("review.json", "journal.jsonl")


class RelatedRecords:
    """What belongs to the runs of a workspace.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._owners: dict[Path, str] = {}

    def files(self, run: RunDirectory) -> dict[str, Path]:
        """Where each file lies that belongs to a run, by its path in the run's copy."""
        found = [*self._of_jobs(run.run_id), *self._of_reviews(run.run_id), *self._card_of(run)]
        root = self._workspace.root
        return {f"{RELATED}/{one.relative_to(root).as_posix()}": one for one in found}

    def state(self, run: RunDirectory) -> str:
        """Something that changes when what belongs to a run does; empty when nothing does."""
        seen = []
        for path, file in sorted(self.files(run).items()):
            with suppress(OSError):  # removed in this moment
                about = file.stat()
                seen.append(f"{path} {about.st_size} {about.st_mtime_ns}")
        return hashlib.sha256("\n".join(seen).encode()).hexdigest() if seen else ""

    def _of_jobs(self, run_id: str) -> Iterator[Path]:
        for kind in _JOBS:
            for record in (self._workspace.root / kind).glob("*/run.json"):
                job = RunDirectory(record.parent)
                is_its = self._owner(record) == run_id and is_id(job.run_id)
                if is_its and recorded_process(job.worker_file) is None:
                    for pattern in _JOB_FILES:
                        yield from job.path.glob(pattern)

    def _of_reviews(self, run_id: str) -> Iterator[Path]:
        for record in self._workspace.reviews.glob("*/review.json"):
            if self._owner(record) == run_id and is_id(record.parent.name):
                for name in _REVIEW_FILES:
                    yield from record.parent.glob(name)

    def _card_of(self, run: RunDirectory) -> Iterator[Path]:
        card = self._workspace.datasets / _dataset_of(run) / CARD
        if card.is_file() and is_id(card.parent.name):
            yield card

    def _owner(self, record: Path) -> str:
        """The run that a record, which is written once, says it belongs to."""
        if record not in self._owners:
            try:
                about = json.loads(record.read_text(encoding="utf-8"))
                is_review = record.name == "review.json"
                self._owners[record] = str((about if is_review else about["dataset"])["run_id"])
            except (OSError, ValueError, KeyError, TypeError):
                return ""  # damaged, or being written in this moment
        return self._owners[record]


def bring_back(run: RunDirectory, workspace: Workspace) -> int:
    """Puts what came with a run's copy where it belongs; nothing that is here is overwritten.

    Args:
        run: The run as it was fetched, before it is one of the workspace.
        workspace: The workspace.

    Returns:
        How many records were damaged, or are none that this app makes, and were left out.

    Raises:
        DiskFullError: No space is left.
    """
    num_refused = 0
    for folder in sorted((run.path / RELATED).glob("*/*")):
        target = workspace.root / folder.parent.name / folder.name
        if target.exists():
            continue
        try:
            _ADOPTED[folder.parent.name](folder, run, workspace)
        except (MedQLoRAError, OSError, ValueError, TypeError, KeyError, AttributeError):
            num_refused += 1
            continue
        with translated_os_errors(target.parent):
            folder.rename(target)
    shutil.rmtree(run.path / RELATED, ignore_errors=True)
    return num_refused


def _adopt_job(folder: Path, run: RunDirectory, workspace: Workspace) -> None:
    """Checks what a job says of itself, and makes its paths this machine's."""
    job = RunDirectory(folder)
    values = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    adapter = workspace.runs / run.run_id / run.adapter.name
    spec = JobSpec(**{**values, "models_dir": str(workspace.models), "adapter_dir": str(adapter)})
    check_id(QLoRAConfig.from_dict(spec.config).model_name)
    job.read_events()
    is_ours = spec.kind in ("evaluate", "benchmark") and spec.run_id == folder.name
    if not is_ours or spec.dataset["run_id"] != run.run_id or not isinstance(spec.name, str):
        raise ValueError("none of ours")
    write_json(folder / "run.json", spec.to_json())


def _adopt_review(folder: Path, run: RunDirectory, _workspace: Workspace) -> None:
    review = ReviewFolder(folder).review()
    if review.run_id != run.run_id or review.review_id != folder.name:
        raise ValueError("none of ours")
    ReviewFolder(folder).ratings()


def _adopt_dataset(folder: Path, run: RunDirectory, _workspace: Workspace) -> None:
    if _dataset_of(run) != folder.name:
        raise ValueError("none of ours")
    for entries in (run.train_entries, run.eval_entries):
        shutil.copyfile(entries, folder / entries.name)
    check_prepared(folder, folder.name)


_ADOPTED = {
    **dict.fromkeys(_JOBS, _adopt_job),
    "reviews": _adopt_review,
    "datasets": _adopt_dataset,
}


def _dataset_of(run: RunDirectory) -> str:
    """The id of the dataset that a run was made of, or a name that no dataset has."""
    try:
        return str(run.spec().dataset.get("dataset_id", "")) or "-"
    except (MedQLoRAError, AttributeError):
        return "-"

"""What the mirror service tells, as values and in words.

How safe something is, what the mirror holds, and what came back.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from medqlora.domain.dataset import DatasetCard
from medqlora.domain.snapshot import RunSnapshot
from medqlora.persistence.mirror_manifest import DATASETS, RUNS
from medqlora.runs.mirror_backlog import MirrorRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorStatus:
    """How safe a run or dataset is.

    Attributes:
        place: What the user calls the mirror.
        is_safe: Whether everything there is to copy of it so far is there, and was read back.
        step: Of a run: step of the newest checkpoint that is safe, 0 without one.
        message: The same in words.
    """

    place: str
    is_safe: bool
    step: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredRun:
    """A run that is in the mirror.

    Attributes:
        run_id: The run.
        name: What the user called it.
        step: Step of its newest checkpoint there.
        at: When it was copied, UTC, ISO 8601.
        size_bytes: What it takes to bring it back.
        is_done: Whether it has succeeded, so that there is nothing to go on with.
        is_here: Whether this workspace has it too.
    """

    run_id: str
    name: str
    step: int
    at: str
    size_bytes: int
    is_done: bool
    is_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredRun:
    """A run that was brought back.

    Attributes:
        run_id: The run.
        step: The step it goes on from.
        can_resume: Whether there is anything to go on with.
        message: What came back, and what did not.
    """

    run_id: str
    step: int
    can_resume: bool
    message: str

    @classmethod
    def of(cls, brought: Mapping[str, Any], *, can_resume: bool) -> RestoredRun:
        """What a courier brought."""
        lost = "A newer copy was damaged, so the one before was used. "
        end = f"It goes on from step {brought['step']}." if can_resume else "It is complete."
        return cls(
            run_id=brought["id"],
            step=brought["step"],
            can_resume=can_resume,
            message=f"{brought['name']} is back. {lost if brought['num_passed_over'] else ''}{end}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredDataset:
    """A prepared dataset that is in the mirror.

    Attributes:
        dataset_id: The dataset.
        name: What the user sees.
        at: When it was copied, UTC, ISO 8601.
        size_bytes: What it takes to bring it back.
        is_here: Whether this workspace has it too.
    """

    dataset_id: str
    name: str
    at: str
    size_bytes: int
    is_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorContents:
    """What is in the mirror, the latest first.

    Attributes:
        runs: Runs.
        datasets: Prepared datasets.
        damaged: Folders in the mirror, such as `datasets/ID`, with no copy that is whole.
    """

    runs: tuple[MirroredRun, ...] = ()
    datasets: tuple[MirroredDataset, ...] = ()
    damaged: tuple[str, ...] = ()

    @classmethod
    def of(cls, listed: Mapping[str, Any], here: Container[str]) -> MirrorContents:
        """What a courier listed, where `here` are the folders that the workspace has too."""
        return cls(
            runs=tuple(
                MirroredRun(
                    run_id=one["id"],
                    name=one["name"],
                    step=one["step"],
                    at=one["at"],
                    size_bytes=one["size_bytes"],
                    is_done=one["outcome"] == "succeeded",
                    is_here=f"{RUNS}/{one['id']}" in here,
                )
                for one in listed[RUNS]
            ),
            datasets=tuple(
                MirroredDataset(
                    dataset_id=one["id"],
                    name=one["name"],
                    at=one["at"],
                    size_bytes=one["size_bytes"],
                    is_here=f"{DATASETS}/{one['id']}" in here,
                )
                for one in listed[DATASETS]
            ),
            damaged=tuple(listed["damaged"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredDatasets:
    """Datasets that were brought back.

    Attributes:
        dataset_ids: Those that are here now and were not before.
        not_back: Those that did not come: a sentence each, beginning with its name or id.
        message: The same in words.
    """

    dataset_ids: tuple[str, ...]
    not_back: tuple[str, ...]
    message: str

    @classmethod
    def of(cls, brought: Mapping[str, Any]) -> RestoredDatasets:
        """What a courier brought."""
        back, not_back = brought["back"], brought["not_back"]
        few = f"{back[0]['name']} is back." if len(back) == 1 else f"{len(back)} datasets are back."
        begin = few if back else "No dataset is back."
        return cls(
            dataset_ids=tuple(one["id"] for one in back),
            not_back=tuple(not_back),
            message=" ".join([begin, *(["Not brought back:", *not_back] if not_back else [])]),
        )


def safe_run(place: str, record: MirrorRecord, snapshot: RunSnapshot) -> str:
    """That everything of a run is in the mirror."""
    if snapshot.state == "succeeded":
        return f"Safe in {place}, with the adapter."
    if record.step:
        return f"Safe in {place} up to step {record.step}."
    return f"Settings and data are safe in {place}; there is no checkpoint yet."


def safe_dataset(place: str, card: DatasetCard) -> str:
    """That a dataset is in the mirror."""
    screening = card.screening
    if screening is not None and screening.action == "keep" and screening.rows_touched:
        return f"Safe in {place}, with what the PHI screen found in it and you chose to keep."
    return f"Safe in {place}."


def not_yet(place: str, record: MirrorRecord) -> str:
    """That something is not in the mirror yet, and why."""
    so_far = f"Safe in {place} up to step {record.step}, the rest not yet."
    begin = so_far if record.step else f"Not yet safe in {place}."
    if record.trouble:
        return f"{begin} {record.trouble} {record.hint} Nothing is lost on this machine meanwhile."
    if record.is_uploading:
        return f"{begin} {place} is still passing the files on."
    return f"{begin} It is being copied."

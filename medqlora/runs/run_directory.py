"""RunDirectory: where everything of one job lies.

    <run_id>/
      run.json        what was asked (JobSpec), written once
      events.jsonl    what happened; the truth
      data/           train.jsonl and eval.jsonl, the run's own copy; queries.jsonl and sets.json
                      of an evaluation or a benchmark
      checkpoints/    resumable states
      adapter/        the deliverable
      items.jsonl     an evaluation's answers
      draft/          a file as it was read
      columns.json    what an import could not tell of its file's columns
      partial/        what an import is making, until it is complete
      worker.json     process id and start time of the worker
      worker.log      what the worker's libraries printed
      heartbeat       touched while the worker is at work
      queued          exists while the run waits for its turn
      stop            exists once the user asked to stop

It makes paths and reads what was asked. It starts nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

from medqlora.domain.events import Event
from medqlora.domain.jobs import JobSpec
from medqlora.domain.snapshot import RunSnapshot, fold
from medqlora.errors import PersistenceError
from medqlora.persistence.atomic import translated_os_errors, write_json
from medqlora.persistence.whole_folders import made_whole
from medqlora.persistence.workspace import slug
from medqlora.runs.event_log import read_events

_RECORDED_PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "bitsandbytes",
    "accelerate",
    "datasets",
    "unsloth",
    "lm_eval",
)


def _nothing_more(directory: RunDirectory) -> None:
    """What is asked is all that the job needs."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths of one job."""

    path: Path

    @classmethod
    def create(
        cls,
        path: Path,
        spec: JobSpec,
        *,
        fill: Callable[[RunDirectory], None] = _nothing_more,
    ) -> RunDirectory:
        """Makes the directory of a new job: whole, or not at all.

        Args:
            path: The directory.
            spec: What is asked.
            fill: Puts the rest of what the job needs into the directory, which has another path
                until it is whole.

        Raises:
            PersistenceError: Something is there already.
            DiskFullError: No space is left.
        """
        with translated_os_errors(path.parent):
            if path.exists():
                raise PersistenceError(
                    f"{path.name} exists already.",
                    hint="Choose another folder, or resume the run that is there.",
                )
        with made_whole(path) as folder:
            made = cls(folder)
            made.data.mkdir()
            fill(made)
            write_json(folder / "run.json", spec.to_json())
        return cls(path)

    @property
    def run_id(self) -> str:
        """The job's id."""
        return self.path.name

    @property
    def events(self) -> Path:
        """The event log."""
        return self.path / "events.jsonl"

    @property
    def data(self) -> Path:
        """Folder of the entries."""
        return self.path / "data"

    @property
    def train_entries(self) -> Path:
        """Entries to train on."""
        return self.data / "train.jsonl"

    @property
    def eval_entries(self) -> Path:
        """Entries held out."""
        return self.data / "eval.jsonl"

    @property
    def encoded(self) -> Path:
        """Folder of the entries as token ids, there while a run trains."""
        return self.data / "encoded"

    @property
    def queries(self) -> Path:
        """An evaluation's queries."""
        return self.data / "queries.jsonl"

    @property
    def sets(self) -> Path:
        """The cards of the benchmarks that are asked."""
        return self.data / "sets.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        """Folder of the finished adapter."""
        return self.path / "adapter"

    @property
    def items(self) -> Path:
        """An evaluation's answers."""
        return self.path / "items.jsonl"

    @property
    def draft(self) -> Path:
        """Folder of a file as it was read."""
        return self.path / "draft"

    @property
    def column_question(self) -> Path:
        """What an import could not tell of its file's columns."""
        return self.path / "columns.json"

    @property
    def partial(self) -> Path:
        """Folder of what is being made, until it is complete."""
        return self.path / "partial"

    @property
    def worker_file(self) -> Path:
        """Which process is the worker."""
        return self.path / "worker.json"

    @property
    def worker_log(self) -> Path:
        """What the worker's libraries printed."""
        return self.path / "worker.log"

    @property
    def heartbeat(self) -> Path:
        """Touched while the worker is at work."""
        return self.path / "heartbeat"

    @property
    def queued(self) -> Path:
        """Exists while the run waits for its turn; holds since when."""
        return self.path / "queued"

    @property
    def stop_file(self) -> Path:
        """Exists once the user asked to stop."""
        return self.path / "stop"

    def spec(self) -> JobSpec:
        """What was asked.

        Raises:
            PersistenceError: The directory is not a job's, or its record is damaged.
        """
        try:
            return JobSpec(**json.loads((self.path / "run.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise PersistenceError(
                f"{self.path.name} is not the folder of a run.",
                hint="Choose a folder that holds a run.json, or one from the list of runs.",
            ) from error

    def read_events(self) -> list[Event]:
        """Everything that happened so far."""
        return read_events(self.events)

    def snapshot(self) -> RunSnapshot:
        """What happened so far, summed up."""
        return fold(self.run_id, self.read_events())


def new_run_id(name: str) -> str:
    """An id that sorts by time and can be read: `20261122-101530-sample-3f9a`."""
    at = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return f"{at}-{slug(name, 'run')}-{secrets.token_hex(2)}"


def recorded_versions() -> dict[str, str]:
    """Versions of what can change a result."""
    found = {"python": python_version()}
    for package in _RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

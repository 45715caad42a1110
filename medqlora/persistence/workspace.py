"""The workspace: one folder that holds everything the app keeps.

    WORKSPACE/
      models/       unpacked base models
      datasets/     prepared datasets, one folder each
      imports/      files being read and prepared, and the drafts that came of it
      runs/         training runs, one folder each
      batches/      how many entries at once were found to fit
      evaluations/  evaluations, one folder each
      panels/       safety panels, one folder each
      panel/        items of your own for the safety panel, JSONL
      benchmarks/   sets of multiple-choice questions, and files that become one
      exams/        runs of benchmarks, one folder each
      reviews/      blind reviews, one folder each
      uploads/      files as users gave them, removed once prepared
      mirror/       how far copies elsewhere are, and what is on its way
      settings.json what holds for the whole workspace
      machine.lock  held by the job that uses the machine
      server.lock   held by the server

This module makes the folders and turns ids into paths. It does not know what lies in them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from medqlora.errors import StorageUnavailableError
from medqlora.persistence.atomic import translated_os_errors

DEFAULT_ROOT = Path.home() / "medqlora-workspace"

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths of one workspace."""

    root: Path

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """The workspace at `root`, its folders made.

        Raises:
            StorageUnavailableError: The folder cannot be made or written.
            DiskFullError: No space is left.
        """
        workspace = cls(root.expanduser().resolve())
        with translated_os_errors(workspace.root):
            for folder in (workspace.models, workspace.batches, *workspace.of_the_user):
                folder.mkdir(parents=True, exist_ok=True)
            probe = workspace.root / ".writable"
            probe.touch()
            probe.unlink()
        return workspace

    @property
    def of_the_user(self) -> tuple[Path, ...]:
        """The folders that hold what came from the user, or was made of it."""
        return (
            self.datasets,
            self.imports,
            self.runs,
            self.evaluations,
            self.panels,
            self.benchmarks,
            self.exams,
            self.reviews,
            self.uploads,
        )

    @property
    def models(self) -> Path:
        """Unpacked base models."""
        return self.root / "models"

    @property
    def datasets(self) -> Path:
        """Prepared datasets."""
        return self.root / "datasets"

    @property
    def imports(self) -> Path:
        """Files being read and prepared, and the drafts that came of it."""
        return self.root / "imports"

    @property
    def runs(self) -> Path:
        """Training runs."""
        return self.root / "runs"

    @property
    def batches(self) -> Path:
        """How many entries at once were found to fit."""
        return self.root / "batches"

    @property
    def evaluations(self) -> Path:
        """Evaluations."""
        return self.root / "evaluations"

    @property
    def panels(self) -> Path:
        """Safety panels."""
        return self.root / "panels"

    @property
    def panel_items(self) -> Path:
        """Own items for the safety panel; not made, only read."""
        return self.root / "panel"

    @property
    def benchmarks(self) -> Path:
        """Sets of multiple-choice questions, and files that become one."""
        return self.root / "benchmarks"

    @property
    def exams(self) -> Path:
        """Runs of benchmarks."""
        return self.root / "exams"

    @property
    def reviews(self) -> Path:
        """Blind reviews."""
        return self.root / "reviews"

    @property
    def uploads(self) -> Path:
        """Files as users gave them."""
        return self.root / "uploads"

    @property
    def mirror(self) -> Path:
        """How far copies elsewhere are, and what is on its way; made when a mirror is set."""
        return self.root / "mirror"

    @property
    def outbox(self) -> Path:
        """Files on their way to the mirror; made when some are sent."""
        return self.mirror / "outbox"

    @property
    def inbox(self) -> Path:
        """Files on their way back from the mirror; made when something is brought back."""
        return self.mirror / "inbox"

    @property
    def settings(self) -> Path:
        """What holds for the whole workspace."""
        return self.root / "settings.json"

    @property
    def machine_lock(self) -> Path:
        """Held by the job that uses the machine."""
        return self.root / "machine.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server."""
        return self.root / "server.lock"


def child(folder: Path, name: str) -> Path:
    """The folder called `name` in `folder`, where `name` may come from anybody.

    Raises:
        StorageUnavailableError: The name is not one of our ids, or nothing is called so.
    """
    path = folder / name if is_id(name) else None
    if path is None or not path.is_dir():
        raise StorageUnavailableError(
            f"There is nothing with that id in {folder.name}.",
            hint="Choose one from the list; it may have been deleted meanwhile.",
        )
    return path


def is_id(name: str) -> bool:
    """Whether `name`, which may come from anybody, is an id as we make them."""
    return isinstance(name, str) and _ID.fullmatch(name) is not None


def slug(text: str, fallback: str) -> str:
    """`text` as part of an id: at most 40 lower-case ASCII letters, digits, single hyphens."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "-".join(words)[:40].strip("-") or fallback

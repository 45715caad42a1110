"""PanelService: the forgetting and safety panel of a run, before and after training.

A panel is asked like an evaluation, by the same job, from one set of weights; its answers are
judged by `evaluation.panel` whenever they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.snapshot import RunState
from medqlora.evaluation.panel import CATEGORIES, SHIPPED_ITEMS, PanelRow, judged, read_panel
from medqlora.persistence.workspace import Workspace
from medqlora.runs.items import read_items
from medqlora.runs.run_directory import RunDirectory, new_run_id
from medqlora.services.asked_run import check_request, make_evaluation
from medqlora.services.jobs import JobService
from medqlora.services.training import TrainingService

__all__ = ["CATEGORIES", "PanelOverview", "PanelRow", "PanelService"]

MAX_NEW_TOKENS = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelOverview:
    """One line of the list of panels.

    Attributes:
        panel_id: The panel.
        run_id: The run whose adapter was asked.
        name: What the user sees.
        state: How it stands.
    """

    panel_id: str
    run_id: str
    name: str
    state: RunState


class PanelService(JobService):
    """Safety panels of the workspace.

    Args:
        workspace: The workspace; `panel/*.jsonl` in it are items of its own.
        training: The runs whose adapters are asked.
    """

    def __init__(self, workspace: Workspace, training: TrainingService) -> None:
        super().__init__(workspace, workspace.panels)
        self._training = training

    def entries(self) -> list[MedicalDataEntry]:
        """What is asked: the items that ship, and the workspace's own.

        Raises:
            EvaluationError: A file of the workspace's own cannot be read.
        """
        own = sorted(self._workspace.panel_items.glob("*.jsonl"))
        return read_panel([SHIPPED_ITEMS, *own])

    def start(self, run_id: str, *, max_new_tokens: int = MAX_NEW_TOKENS) -> str:
        """Starts a panel and returns its id.

        Args:
            run_id: A run with an adapter.
            max_new_tokens: Longest answer in tokens.

        Raises:
            EvaluationError: The run has no adapter, or an own file cannot be read.
            GpuBusyError: Another job has the machine.
        """
        run = self._training.directory(run_id)
        check_request(run, max_new_tokens=max_new_tokens)
        entries = self.entries()
        panel_id = new_run_id("panel-" + run.spec().dataset["name"])
        path = self._folder / panel_id
        return self._begin(
            panel_id,
            lambda: self.create(run, entries, path=path, max_new_tokens=max_new_tokens),
        )

    def create(
        self,
        run: RunDirectory,
        entries: list[MedicalDataEntry],
        *,
        path: Path,
        max_new_tokens: int,
    ) -> RunDirectory:
        """Makes the directory of a panel without starting it; see `start` for the errors."""
        return make_evaluation(
            run,
            entries,
            path=path,
            name=f"{run.spec().name}, safety panel",
            max_new_tokens=max_new_tokens,
        )

    def rows(self, panel_id: str) -> tuple[PanelRow, ...]:
        """The answers so far, judged, category by category."""
        return judged(read_items(self.directory(panel_id).items))

    def panels(self) -> tuple[PanelOverview, ...]:
        """All panels, newest first."""
        return self.readable(self._overview)

    def _overview(self, directory: RunDirectory) -> PanelOverview:
        spec = directory.spec()
        return PanelOverview(
            panel_id=spec.run_id,
            run_id=spec.dataset["run_id"],
            name=spec.name,
            state=self.snapshot(spec.run_id).state,
        )

"""What the tabs, the command line and a notebook call.

Services hold no widgets and print nothing; `cells`, their face for a notebook, prints.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from medqlora.errors import SessionError
from medqlora.persistence.atomic import translated_os_errors
from medqlora.persistence.whole_folders import sweep
from medqlora.persistence.workspace import Workspace
from medqlora.services.benchmarks import BenchmarkService
from medqlora.services.chat import ChatService
from medqlora.services.configuration import ConfigurationService
from medqlora.services.conversations import ConversationService
from medqlora.services.datasets import DatasetService
from medqlora.services.evaluation import EvaluationService
from medqlora.services.folder_watch import FolderWatch
from medqlora.services.guidance import GuidanceService
from medqlora.services.library import LibraryService
from medqlora.services.mirror import MirrorService
from medqlora.services.panel import PanelService
from medqlora.services.queue import QueueThread
from medqlora.services.rating import RatingService
from medqlora.services.report import ReportService
from medqlora.services.review import ReviewService
from medqlora.services.screening import ScreeningService
from medqlora.services.training import TrainingService


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All services of one workspace, wired together.

    Attributes:
        workspace: Where everything is kept.
        datasets: Files become prepared datasets.
        configuration: Which settings suit.
        training: Runs.
        evaluation: Evaluations.
        panel: Forgetting and safety.
        benchmarks: Multiple-choice benchmarks.
        chat: Compare.
        conversations: What was said in Compare, as files.
        review: Blind reviews, as their owner makes and ends them.
        rating: Blind reviews, as raters see them.
        report: Study reports.
        guidance: What to do after an error, and how long the session lasts.
        queue: Starts the runs that wait.
        screening: The PHI screen for what people type.
        mirror: Copies of runs and datasets elsewhere.
        library: Adapters that were made elsewhere.
        folders: Whether the workspace's folders answer.
    """

    workspace: Workspace
    datasets: DatasetService
    configuration: ConfigurationService
    training: TrainingService
    evaluation: EvaluationService
    panel: PanelService
    benchmarks: BenchmarkService
    chat: ChatService
    conversations: ConversationService
    review: ReviewService
    rating: RatingService
    report: ReportService
    guidance: GuidanceService
    queue: QueueThread
    screening: ScreeningService
    mirror: MirrorService
    library: LibraryService
    folders: FolderWatch

    @classmethod
    def open(cls, root: Path, *, mirror: str | None = None) -> Services:
        """The services of the workspace at `root`, which is made when missing.

        Args:
            root: The workspace's folder.
            mirror: Where it is mirrored to from now on, or `off`; as before when not given.

        Raises:
            StorageUnavailableError: The folder cannot be made or written, or the mirror's address
                is none.
        """
        workspace = Workspace.open(root)
        datasets = DatasetService(workspace)
        training = TrainingService(workspace, datasets)
        chat = ChatService(workspace, training)
        screening = ScreeningService()
        evaluation = EvaluationService(workspace, training, screening)
        panel = PanelService(workspace, training)
        benchmarks = BenchmarkService(workspace, training, screening)
        review = ReviewService(workspace, evaluation, screening)
        for jobs in (training, evaluation, benchmarks, panel):
            jobs.make_room = chat.close_if_idle
        kept = MirrorService(workspace, training, datasets)
        kept.configure(mirror)
        training.on_launch = kept.ensure
        return cls(
            workspace=workspace,
            datasets=datasets,
            configuration=ConfigurationService(workspace),
            training=training,
            evaluation=evaluation,
            panel=panel,
            benchmarks=benchmarks,
            chat=chat,
            conversations=ConversationService(screening),
            review=review,
            rating=RatingService(workspace),
            report=ReportService(datasets, evaluation, benchmarks, panel, review),
            guidance=GuidanceService(),
            queue=QueueThread(training),
            screening=screening,
            mirror=kept,
            library=LibraryService(workspace),
            folders=FolderWatch(workspace),
        )

    def attach(self) -> None:
        """Finds the jobs that outlived an earlier server, and goes on with the queue.

        Called once, by whoever holds the workspace.
        """
        for folder in (self.workspace.reviews, self.workspace.uploads):
            sweep(folder)
        self.datasets.attach()
        self.training.attach()
        self.evaluation.attach()
        self.panel.attach()
        self.benchmarks.attach()
        self.queue.start()
        self.folders.start()
        self.mirror.watch()

    def close(self) -> None:
        """Ends the chat; jobs and copying go on, and the queue waits for the next server."""
        self.folders.stop()
        self.queue.stop()
        self.chat.close()
        self.mirror.close()


def claim_workspace(workspace: Workspace) -> int:
    """Makes this process the one server of a workspace, and returns the descriptor that holds it.

    Raises:
        SessionError: Another server has it.
    """
    with translated_os_errors(workspace.root):
        descriptor = os.open(workspace.server_lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SessionError(
            f"Another server already uses the workspace {workspace.root}.",
            hint="Use that one, stop it, or choose another folder with --workspace DIR.",
        ) from None
    return descriptor

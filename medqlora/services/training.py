"""TrainingService: starts, queues, stops, resumes and lists training runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from medqlora.config.qlora import QLoRAConfig
from medqlora.data.tokenizer import nothing_to_learn
from medqlora.domain.dataset import DatasetCard
from medqlora.domain.jobs import JobSpec
from medqlora.errors import ConfigError, DataError, DiskFullError, MedQLoRAError, PersistenceError
from medqlora.models.four_bit_copy import WeightsChoice
from medqlora.models.model_files import ModelFiles
from medqlora.persistence.whole_folders import remove_whole
from medqlora.persistence.workspace import Workspace
from medqlora.runs.attempts import can_take_turn, nothing_to_resume, turn_down
from medqlora.runs.origins import refuse_differences
from medqlora.runs.run_directory import RunDirectory, new_run_id, recorded_versions
from medqlora.runs.run_queue import RunQueue
from medqlora.services.datasets import DatasetService
from medqlora.services.jobs import JobService
from medqlora.services.run_summary import RunSummary, summary_of


class TrainingService(JobService):
    """Training runs of the workspace.

    Args:
        workspace: The workspace.
        datasets: Where prepared datasets lie.
    """

    def __init__(self, workspace: Workspace, datasets: DatasetService) -> None:
        super().__init__(workspace, workspace.runs)
        self._datasets = datasets
        self._queue = RunQueue(workspace.runs)

    def start(self, config: QLoRAConfig, dataset_id: str) -> str:
        """Starts a run on a prepared dataset and returns its id.

        Raises:
            DataError: The dataset was not screened for PHI, or no answer would be left to learn.
            GpuBusyError: Another job has the machine.
            ConfigError, ModelError: See `ModelFiles.choose_weights` and `require_trainable`.
            DiskFullError: No space is left.
        """
        chosen = self._checked(config, dataset_id)
        run_id = new_run_id(self._datasets.card(dataset_id).name)
        return self._begin(
            run_id, lambda: self._make(chosen, dataset_id, path=self._folder / run_id)
        )

    def enqueue(self, config: QLoRAConfig, dataset_id: str) -> str:
        """Puts a run at the end of the queue and returns its id.

        A server starts it when its turn comes and the machine is free. Settings and data are those
        of now.

        Raises:
            DataError: See `start`.
            ConfigError: The same is going on or waits already; and see
                `ModelFiles.choose_weights`.
            ModelError: See `require_trainable`.
            DiskFullError: No space is left.
        """
        run_id = new_run_id(self._datasets.card(dataset_id).name)
        chosen = self._checked(config, dataset_id)
        with self._lock:
            self._refuse_twice(chosen.config, dataset_id)
            self._make(chosen, dataset_id, path=self._folder / run_id, also=self._queue.add)
        return run_id

    def _refuse_twice(self, config: QLoRAConfig, dataset_id: str) -> None:
        """A second press, or a second person: the same run would end with the same adapter."""
        running = self.current()
        for one in (*([self.directory(running)] if running else []), *self._queue.directories()):
            with suppress(PersistenceError):  # named with the damaged runs
                spec = one.spec()
                if (spec.config, spec.dataset["dataset_id"]) == (config.to_dict(), dataset_id):
                    state = "is going on" if one.run_id == running else "waits for its turn"
                    raise ConfigError(
                        f"A run with these settings and this dataset {state} already.",
                        hint="To train another one, change a setting on Configure, for instance "
                        "the seed.",
                    )

    def queued(self) -> tuple[RunSummary, ...]:
        """The runs that wait for their turn, the next one first."""
        summaries = []
        for one in self._queue.directories():
            with suppress(PersistenceError):  # named with the damaged runs
                summaries.append(self._summary(one))
        return tuple(summaries)

    def remove_from_queue(self, run_id: str) -> None:
        """Takes a run out of the queue; a new one is removed, one to go on with stays as it was.

        Raises:
            PersistenceError: It is not in the queue, or its turn has come meanwhile.
        """
        directory = self.directory(run_id)
        with self._lock:
            if not directory.queued.exists():
                raise PersistenceError(
                    "This run is not in the queue any more.",
                    hint="If its turn has come, stop it instead.",
                )
            if self.snapshot(run_id).attempt:
                self._queue.remove(directory)
            else:
                remove_whole(directory.path)

    def start_next(self) -> str | None:
        """Starts the next run of the queue and returns its id; None when there is nothing to start.

        Raises:
            GpuBusyError: The machine is not free yet.
            DiskFullError: No space is left; the run stays in the queue.
        """
        directory = next(iter(self._queue.directories()), None)
        if directory is None or self.is_watching:
            return None
        with self._lock:
            lease = self._take_machine(directory.run_id)
            if not can_take_turn(directory):
                if lease:
                    lease.close()
                return None
            try:
                self._launch(directory, lease)
            except DiskFullError:
                raise
            except MedQLoRAError as error:
                turn_down(directory, error)
        return directory.run_id

    def enqueue_resume(self, run_id: str, *, accept_differences: bool = False) -> None:
        """Puts a run that ended before it was done at the end of the queue, to go on from there.

        One that waits already keeps its place.

        Args:
            run_id: The run.
            accept_differences: See `resume`; differences of the moment of its turn count as well.

        Raises:
            CheckpointDiffersError: See `resume`.
            PersistenceError: It is done, or running.
            DiskFullError: No space is left.
        """
        directory = self.directory(run_id)
        with self._lock:
            if directory.queued.exists():
                return
            snapshot = self.snapshot(run_id)
            if not snapshot.can_resume:
                raise nothing_to_resume()
            if not accept_differences:
                refuse_differences(directory)
            self._queue.add(
                directory, attempt=snapshot.attempt, accepts_differences=accept_differences
            )

    def resume(self, run_id: str, *, accept_differences: bool = False) -> None:
        """Goes on with a run that ended before it was done.

        Args:
            run_id: The run.
            accept_differences: Whether to go on although package versions, settings or data are
                not those of the checkpoint.

        Raises:
            CheckpointDiffersError: They are not, and that was not accepted; they are listed.
            PersistenceError: It is done, or running.
            GpuBusyError: Another job has the machine.
        """
        if self.snapshot(run_id).can_resume and not accept_differences:
            refuse_differences(self.directory(run_id))
        super().resume(run_id)

    def create(self, config: QLoRAConfig, dataset_id: str, *, path: Path) -> RunDirectory:
        """Makes the directory of a run without starting it.

        Raises:
            DataError: See `start`.
            ConfigError, ModelError: See `ModelFiles.choose_weights` and `require_trainable`.
            PersistenceError: Something is there already.
            DiskFullError: No space is left.
        """
        return self._make(self._checked(config, dataset_id), dataset_id, path=path)

    def _checked(self, config: QLoRAConfig, dataset_id: str) -> WeightsChoice:
        """The settings with what the run will record of its base model, once nothing is wrong."""
        self.check_data(config, dataset_id)
        files = ModelFiles(models_dir=self._workspace.models)
        files.require_trainable(config)
        return files.choose_weights(config)

    def _make(
        self,
        chosen: WeightsChoice,
        dataset_id: str,
        *,
        path: Path,
        also: Callable[[RunDirectory], None] | None = None,
    ) -> RunDirectory:
        card = self._datasets.card(dataset_id)
        source = self._datasets.folder(dataset_id)

        def fill(made: RunDirectory) -> None:
            shutil.copyfile(source / "train.jsonl", made.train_entries)
            shutil.copyfile(source / "eval.jsonl", made.eval_entries)
            if also:
                also(made)

        spec = _spec(path.name, chosen, card, models_dir=self._workspace.models)
        return RunDirectory.create(path, spec, fill=fill)

    def check_data(self, config: QLoRAConfig, dataset_id: str) -> None:
        """Refuses what must not or cannot be trained on, as far as it is known without a tokenizer.

        Where tokens were not counted yet, the run finds out before it loads the model.

        Raises:
            DataError: See `start`.
        """
        card = self._datasets.card(dataset_id)
        if card.screening is None:
            raise DataError(
                f"The dataset {card.name} was not screened for patient data (PHI), so it is not "
                "trained on.",
                hint="Prepare the file again on the Dataset tab, which screens it.",
            )
        lengths = self._datasets.lengths(dataset_id, config.model_name, config.max_seq_length)
        if lengths and lengths.num_without_answer == lengths.num_entries:
            raise nothing_to_learn(config.max_seq_length)

    def runs(self) -> tuple[RunSummary, ...]:
        """All runs, newest first."""
        return self.readable(self._summary)

    def _summary(self, directory: RunDirectory) -> RunSummary:
        return summary_of(directory, directory.spec(), self.snapshot(directory.run_id))


def _spec(run_id: str, chosen: WeightsChoice, card: DatasetCard, *, models_dir: Path) -> JobSpec:
    return JobSpec(
        run_id=run_id,
        kind="train",
        name=f"{card.name} on {chosen.config.model_name}",
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        config=chosen.config.to_dict(),
        models_dir=str(models_dir),
        dataset={
            "dataset_id": card.dataset_id,
            "name": card.name,
            "sha256": card.sha256,
            "num_train": card.num_train,
            "num_eval": card.num_eval,
            "seed": card.seed,
            "screening": card.screening.to_json() if card.screening else None,
        },
        options={"weights": chosen.reason, "is_fallback": chosen.is_fallback}
        if chosen.reason
        else {},
        versions=recorded_versions(),
    )

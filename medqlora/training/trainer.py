"""QLoRATrainer: trains an adapter in this process and reports what happens as events.

It builds on the engine's own trainer (TRL's). It knows nothing of run directories or other
processes: `runs.worker` calls it, and so may a notebook cell.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqlora.data.tokenizer import MedicalTokenizer
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.events import Event, StepLogged
from medqlora.domain.recovery import RecoveryAction
from medqlora.domain.resources import ResourceStats
from medqlora.domain.training import TrainingResult
from medqlora.errors import MedQLoRAError
from medqlora.models.engine import ModelEngine
from medqlora.models.memory_reading import read_gpu_memory, read_process_memory
from medqlora.persistence.checkpoints import CheckpointManager
from medqlora.recovery import ErrorRecoveryManager
from medqlora.training.building import ready_trainer
from medqlora.training.distributed import filled_up, is_main_process, suit_to_processes
from medqlora.training.encoding import check_labels, encoded_dataset
from medqlora.training.failures import translated
from medqlora.training.metrics import TrainingMetricsLogger

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase
    from trl import SFTConfig

DEFAULT_MAX_SEQ_LENGTH = 512


def _ignored(event: Event) -> None:
    """Nobody is watching."""


def _never() -> bool:
    return False


def _unasked(arguments: SFTConfig) -> None:
    """Nobody wants to know."""


class QLoRATrainer:
    """Trains the adapter of a model.

    Args:
        model: A quantised model with an adapter.
        tokenizer: Its tokenizer.
        config: What `QLoRAConfig.training_arguments` made.
        engine: The engine the model was loaded with; transformers when not given.
        eval_dataset: Entries to measure the loss on, as `train` takes them.
        max_seq_length: Longest entry in tokens, for a dataset that is not tokenised yet.
        checkpoints: Keeps checkpoints; none are kept when not given.
        resume_from: Checkpoint folder to go on from.
        sink: Gets the events.
        should_stop: Asked after each step; True ends training after saving a checkpoint.
        should_save: Asked after each step; True saves a checkpoint beyond the schedule.
        save_minutes: A checkpoint is also saved when the last is older than this, 0 for never.
        probe_limit_gib: What torch may hold on the GPU in a step without the optimizer's state; one
            is tried on the longest rows first and the micro-batch halved until it fits. None tries
            nothing.
        on_ready: Called with the arguments as they are once all was tried, before anything is
            learned.
    """

    def __init__(
        self,
        model: PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        config: SFTConfig,
        *,
        engine: ModelEngine | None = None,
        eval_dataset: Dataset | None = None,
        max_seq_length: int = DEFAULT_MAX_SEQ_LENGTH,
        checkpoints: CheckpointManager | None = None,
        resume_from: Path | None = None,
        sink: Callable[[Event], object] = _ignored,
        should_stop: Callable[[], bool] = _never,
        should_save: Callable[[], bool] = _never,
        save_minutes: float = 0.0,
        probe_limit_gib: float | None = None,
        on_ready: Callable[[SFTConfig], object] = _unasked,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._arguments = config
        self._engine = engine
        self._eval_dataset = eval_dataset
        self._max_seq_length = max_seq_length
        self._checkpoints = checkpoints if is_main_process() else None
        self._saves = checkpoints is not None
        self._resume_from = resume_from
        self._sink = sink
        self._should_stop = should_stop
        self._should_save = should_save
        self._save_minutes = save_minutes
        self._probe_limit_gib = probe_limit_gib
        self._on_ready = on_ready
        self._begun_at: float | None = None
        self._last_step: StepLogged | None = None
        self._encoded_folder: tempfile.TemporaryDirectory[str] | None = None

    def train(self, dataset: Dataset) -> TrainingResult:
        """Trains on `dataset` until its last step, or until asked to stop.

        Args:
            dataset: Rows of `input_ids` and `labels`, or of `question`, `answer` and optionally
                `context`.

        Raises:
            DataError: No answer is left to learn from after cutting.
            NonFiniteLossError: The loss or the gradient became NaN or infinite.
            OutOfMemoryError: Memory ran out.
            DiskFullError: A checkpoint could not be written.
            TrainingError: The trainer gave up for another reason.
        """
        from safetensors import SafetensorError

        from medqlora.training.callback import RunEventCallback, in_step

        metrics = TrainingMetricsLogger(self._report)
        callback = RunEventCallback(
            sink=self._report,
            metrics=metrics,
            checkpoints=self._checkpoints,
            should_stop=self._should_stop,
            should_save=self._should_save,
            save_minutes=self._save_minutes,
        )
        if self._checkpoints:
            self._checkpoints.prepare()
            self._arguments.output_dir = str(self._checkpoints.staging)
        if not self._saves:
            self._arguments.save_strategy = "no"
        # The first point of the held-out loss is the base model's; a resumed run has it already.
        self._arguments.eval_on_start = self._eval_dataset is not None and self._resume_from is None
        suit_to_processes(self._arguments, self._model)
        trainer = self._build(dataset, in_step(callback))
        self._on_ready(self._arguments)
        self._begun_at = time.monotonic()
        try:
            trainer.train(
                resume_from_checkpoint=str(self._resume_from) if self._resume_from else None
            )
        except (RuntimeError, MemoryError, OSError, SafetensorError) as error:
            raise translated(error) from error
        finally:
            if self._checkpoints:
                self._checkpoints.discard_staged()
        return TrainingResult(
            steps=trainer.state.global_step,
            is_complete=trainer.state.global_step >= trainer.state.max_steps,
            train_loss=metrics.train_loss,
            eval_loss=metrics.eval_loss,
            seconds=time.monotonic() - self._begun_at,
            num_tokens=metrics.num_tokens,
        )

    def monitor_resources(self) -> ResourceStats:
        """Memory and time of the training at this moment."""
        gpu = read_gpu_memory()
        elapsed = time.monotonic() - self._begun_at if self._begun_at else 0.0
        return ResourceStats(
            gpu_memory_used=gpu.used_gib if gpu else 0.0,
            gpu_memory_total=gpu.limit_gib if gpu else 0.0,
            cpu_memory_used=read_process_memory().used_gib,
            training_time_elapsed=elapsed,
            estimated_time_remaining=self._last_step.seconds_left if self._last_step else None,
        )

    def handle_training_errors(self, error: Exception) -> RecoveryAction:
        """What should follow `error`; a foreign one is translated first."""
        ours = error if isinstance(error, MedQLoRAError) else translated(error)
        return ErrorRecoveryManager().handle_error(ours)

    def _build(self, dataset: Dataset, callbacks: list[Any]) -> Any:
        from transformers import PrinterCallback

        from medqlora.models.transformers_engine import TransformersEngine

        make = partial(
            (self._engine or TransformersEngine()).make_trainer,
            model=self._model,
            tokenizer=self._tokenizer,
            arguments=self._arguments,
            train_dataset=filled_up(
                self._encoded(dataset, "train"),
                per_device_batch_size=self._arguments.per_device_train_batch_size,
            ),
            eval_dataset=self._encoded(self._eval_dataset, "eval")
            if self._eval_dataset is not None
            else None,
            callbacks=callbacks,
        )
        trainer = ready_trainer(
            make, self._arguments, report=self._report, probe_limit_gib=self._probe_limit_gib
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def _encoded(self, dataset: Dataset, side: str) -> Dataset:
        if "input_ids" in dataset.column_names:
            if side == "train":
                check_labels(dataset, report=self._report)
            return dataset
        if self._encoded_folder is None:
            self._encoded_folder = tempfile.TemporaryDirectory(prefix="medqlora-")
        entries = (
            MedicalDataEntry(
                question=row["question"], answer=row["answer"], context=row.get("context")
            )
            for row in dataset
        )
        return encoded_dataset(
            entries,
            MedicalTokenizer(self._tokenizer, max_seq_length=self._max_seq_length),
            Path(self._encoded_folder.name) / f"{side}.arrow",
            report=self._report,
        )

    def _report(self, event: Event) -> None:
        if isinstance(event, StepLogged):
            self._last_step = event
        self._sink(event)

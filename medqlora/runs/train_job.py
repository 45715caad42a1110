"""The job `train`: from a run directory's data and settings to an adapter in it."""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from medqlora.config.qlora import QLoRAConfig
from medqlora.data.entries import iter_entries
from medqlora.data.tokenizer import MedicalTokenizer
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.events import Outcome, RunStopped, RunSucceeded, RunWarned
from medqlora.domain.training import TrainingMetadata, TrainingResult
from medqlora.errors import DataError, ModelError, ModelOutOfMemoryError, OutOfMemoryError
from medqlora.models.engine import LoadedModel, ModelEngine
from medqlora.models.loader import QuantizedModelLoader
from medqlora.models.memory_reading import detect_gpu
from medqlora.models.sharding import held_bytes, mesh_of_all, refuse_altered, shard, whole_bytes
from medqlora.models.tokenizers import load_tokenizer
from medqlora.persistence.adapters import AdapterSaver
from medqlora.runs.fitting import Fit, fitted, usable_gib
from medqlora.runs.found_batches import found_batches
from medqlora.runs.job import Job
from medqlora.runs.origins import checkpoints_of, origin_now
from medqlora.runs.retrying import LOADING_MODEL, config_in_effect, out_of_memory
from medqlora.training.distributed import (
    agreed,
    in_turn,
    is_main_process,
    join,
    leave,
    main_process_first,
    refuse_unequal,
)
from medqlora.training.encoding import encoded_dataset
from medqlora.training.failures import is_out_of_memory
from medqlora.training.memory import MemoryMonitor
from medqlora.training.trainer import QLoRATrainer

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

MEASURED_WITHOUT_GPU = 48
TRAIN_TOKENS = "train.arrow"
EVAL_TOKENS = "eval.arrow"


def train(job: Job) -> Outcome:
    """Trains, or goes on training, and saves the adapter unless it was stopped."""
    with MemoryMonitor(job.report) as monitor:
        try:
            outcome = _train(job, monitor)
            leave()
            return outcome
        except ModelOutOfMemoryError:
            raise
        except (OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not isinstance(error, OutOfMemoryError) and not is_out_of_memory(error):
                raise
            found_batches(job.spec).forget()
            end = out_of_memory(job.directory, "Memory ran out during training.")
            raise OutOfMemoryError(end.message, hint=end.hint) from error


def _train(job: Job, monitor: MemoryMonitor) -> Outcome:
    config = config_in_effect(job.spec, job.directory.read_events())
    join(config.num_processes)
    if config.num_processes > 1:
        job.report_phase(
            f"{config.num_processes} processes x {config.per_device_train_batch_size} entries x "
            f"accumulation {config.gradient_accumulation_steps}: {config.effective_batch_size} "
            "entries a step"
        )
    loader = QuantizedModelLoader(
        models_dir=Path(job.spec.models_dir), on_progress=job.report_phase
    )
    with main_process_first():
        computed = loader.choose_compute_dtype(config)
        sharding = loader.choose_sharding(computed.config)
    config = agreed(sharding.config)
    if computed.reason:
        job.report_phase(computed.reason)
    if config.is_sharded:
        job.report_phase(sharding.reason)
    _say_whose_weights(job)
    with main_process_first():
        # Before anything imports transformers: Unsloth has to come first.
        engine = _engine(job, loader, config)
        source = loader.find(config)
    try:
        data = _encoded_once(job, source, config)
        fit = fitted(
            job, config, loader.shape(source), engine, data.train, limit_gib=usable_gib(monitor)
        )
        return _train_on(job, monitor, loader, engine, fit, data)
    finally:
        if is_main_process():
            shutil.rmtree(job.directory.encoded, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Data:
    train: Dataset
    eval: Dataset | None


def _train_on(
    job: Job,
    monitor: MemoryMonitor,
    loader: QuantizedModelLoader,
    engine: ModelEngine,
    fit: Fit,
    data: _Data,
) -> Outcome:
    config = agreed(fit.config)
    job.report_phase(LOADING_MODEL)
    model, tokenizer = _adapted(job, loader, engine, config)
    if agreed(job.should_stop()):
        return RunStopped(step=0, checkpoint_step=job.checkpoint.step if job.checkpoint else 0)
    checkpoints = checkpoints_of(job.directory, origin=origin_now(job.directory))
    trainer = QLoRATrainer(
        model,
        tokenizer,
        config.training_arguments(checkpoints.staging, num_entries=len(data.train)),
        engine=engine,
        eval_dataset=data.eval,
        max_seq_length=config.max_seq_length,
        checkpoints=checkpoints,
        resume_from=Path(job.checkpoint.path) if job.checkpoint else None,
        sink=job.report,
        should_stop=job.should_stop,
        should_save=lambda: monitor.take_save_request() or job.should_save(),
        save_minutes=config.save_minutes,
        probe_limit_gib=fit.probe_limit_gib,
        on_ready=fit.ready,
    )
    result = trainer.train(data.train)
    if not result.is_complete:
        return RunStopped(step=result.steps, checkpoint_step=checkpoints.newest_step())
    refuse_unequal(model)
    metrics = _metrics(result)
    if not is_main_process():
        return RunSucceeded(metrics=metrics)
    job.report_phase("Saving the adapter")
    AdapterSaver(job.directory.adapter).save_adapter(model, _metadata(job, config, metrics))
    return RunSucceeded(metrics=metrics)


def _adapted(
    job: Job, loader: QuantizedModelLoader, engine: ModelEngine, config: QLoRAConfig
) -> tuple[PeftModel, PreTrainedTokenizerBase]:
    """The model with a fresh adapter; sharded, where that was decided."""
    if not config.is_sharded:
        loaded = _loaded(job, loader, engine, config)
        return engine.attach_adapter(loaded.model, config), loaded.tokenizer
    mesh = mesh_of_all()
    with in_turn():
        loaded = _loaded(job, loader, engine, config)
        model = engine.attach_adapter(loaded.model, config)
        sums = shard(model, mesh)
    refuse_altered(model, sums)
    job.report_phase(
        f"Each process keeps {held_bytes(model):,} of the {whole_bytes(model):,} bytes of the "
        "layers' weights; gathered, they are the model's, byte by byte"
    )
    return model, loaded.tokenizer


def _loaded(
    job: Job, loader: QuantizedModelLoader, engine: ModelEngine, config: QLoRAConfig
) -> LoadedModel:
    try:
        return loader.load(config, engine=engine, will_be_sharded=config.is_sharded)
    except (ModelError, RuntimeError, MemoryError) as error:
        # A file that cannot be mapped for want of RAM is a model that could not be loaded.
        if not is_out_of_memory(error.__cause__ or error):
            raise
        end = out_of_memory(
            job.directory,
            f"Memory ran out while the model {config.model_name} was being loaded.",
            is_loading=True,
        )
        raise ModelOutOfMemoryError(end.message, hint=end.hint) from error


def _encoded_once(job: Job, source: str, config: QLoRAConfig) -> _Data:
    """Both sides as tokens, made by the main process and mapped by every one."""
    from datasets import Dataset

    data = _encoded(job, source, config) if is_main_process() else None
    has_eval = agreed(data is not None and data.eval is not None)
    if data is not None:
        return data
    folder = job.directory.encoded
    return _Data(
        Dataset.from_file(str(folder / TRAIN_TOKENS)),
        Dataset.from_file(str(folder / EVAL_TOKENS)) if has_eval else None,
    )


def _encoded(job: Job, source: str, config: QLoRAConfig) -> _Data:
    """Both sides as tokens, before the model is loaded: a length that cuts all is refused here."""
    job.report_phase("Preparing the data")
    tokenizer = MedicalTokenizer(
        load_tokenizer(source, model_name=config.model_name), max_seq_length=config.max_seq_length
    )
    folder = job.directory.encoded
    train = encoded_dataset(
        iter_entries(job.directory.train_entries),
        tokenizer,
        folder / TRAIN_TOKENS,
        report=job.report,
    )
    if not job.spec.dataset["num_eval"]:
        return _Data(train, None)
    try:
        held_out = encoded_dataset(
            _measured(job), tokenizer, folder / EVAL_TOKENS, report=job.report
        )
    except DataError:
        job.report(
            RunWarned(
                message="No held-out entry has an answer left after cutting, so their loss is not "
                "measured.",
                hint="Raise the longest entry (max_seq_length) on Configure.",
            )
        )
        return _Data(train, None)
    return _Data(train, held_out)


def _measured(job: Job) -> Iterator[MedicalDataEntry]:
    """The held-out entries whose loss is measured during training: all of them where it is fast."""
    entries = iter_entries(job.directory.eval_entries)
    if detect_gpu() is not None:
        return entries
    num_entries = int(job.spec.dataset["num_eval"])
    if num_entries > MEASURED_WITHOUT_GPU:
        job.report(
            RunWarned(
                message=(
                    f"Without a GPU the loss is measured on the first {MEASURED_WITHOUT_GPU} of "
                    f"the {num_entries} held-out entries."
                ),
                hint="Evaluate can ask all of them.",
            )
        )
    return itertools.islice(entries, MEASURED_WITHOUT_GPU)


def _say_whose_weights(job: Job) -> None:
    """What the run was made with, told again in each attempt."""
    reason = str(job.spec.options.get("weights", ""))
    if reason and job.spec.options["is_fallback"]:
        job.report(RunWarned(message=reason, hint="The run does the same; the download is longer."))
    elif reason:
        job.report_phase(reason)


def _engine(job: Job, loader: QuantizedModelLoader, config: QLoRAConfig) -> ModelEngine:
    """The engine for this run; the user reads which one it is and why."""
    choice = loader.choose_engine(config)
    if choice.is_fallback:
        job.report(
            RunWarned(
                message=choice.reason, hint="The run does the same and takes more time and memory."
            )
        )
    else:
        job.report_phase(choice.reason)
    return choice.engine


def _metrics(result: TrainingResult) -> dict[str, float]:
    metrics = {
        "train_loss": result.train_loss,
        "steps": float(result.steps),
        "seconds": result.seconds,
    }
    if result.eval_loss is not None:
        metrics["eval_loss"] = result.eval_loss
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _metadata(job: Job, config: QLoRAConfig, metrics: dict[str, float]) -> TrainingMetadata:
    return TrainingMetadata(
        model_name=config.model_name,
        dataset_info=job.spec.dataset,
        training_config=config.to_dict(),
        training_metrics=metrics,
        timestamp=datetime.now(UTC),
    )

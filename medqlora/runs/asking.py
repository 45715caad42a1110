"""What evaluations, exams and chats share: both models in one, and what to do without memory.

Nothing is tried again by itself, as it is in training: whoever asks sees the reason and decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import ModelError, ModelOutOfMemoryError, OutOfMemoryError
from medqlora.models.engine_choice import asking_engine
from medqlora.models.loader import QuantizedModelLoader
from medqlora.runs.job import Job
from medqlora.runs.retrying import ASKING_ADVICE, LOADING_MODEL
from medqlora.training.failures import is_out_of_memory

if TYPE_CHECKING:
    from peft import PeftModel

LARGEST_BATCH = 8
"""Questions at once, each to both models; halved where they do not fit."""


def load_both(job: Job) -> tuple[PeftModel, Any]:
    """The base model of a job with its adapter, and the tokenizer.

    Raises:
        ModelError: It cannot be loaded; `ModelOutOfMemoryError` where memory ran out.
    """
    config = QLoRAConfig.from_dict(job.spec.config)
    loader = QuantizedModelLoader(
        models_dir=Path(job.spec.models_dir), on_progress=job.report_phase
    )
    job.report_phase(LOADING_MODEL)
    engine = asking_engine()
    with memory_told(config.model_name):
        loaded = loader.load(config, engine=engine, adapter_path=job.spec.adapter_dir)
        return engine.load_adapter(loaded.model, Path(job.spec.adapter_dir)), loaded.tokenizer


@contextmanager
def memory_told(model_name: str) -> Iterator[None]:
    """Says so where memory runs out while a model is loaded.

    Raises:
        ModelOutOfMemoryError: It did.
    """
    try:
        yield
    except (ModelError, RuntimeError, MemoryError) as error:
        # A file that cannot be mapped for want of RAM is a model that could not be loaded.
        if not is_out_of_memory(error.__cause__ or error):
            raise
        raise ModelOutOfMemoryError(
            f"Memory ran out while the model {model_name} was being loaded.", hint=ASKING_ADVICE
        ) from error


def halved(batch_size: int, error: Exception) -> int:
    """Half as many questions at once, where `error` says that memory ran out.

    Raises:
        OutOfMemoryError: It was a single question.
        Exception: `error`, where it says anything else.
    """
    if batch_size == 1:
        raise too_little_for_one(error) from error
    if not is_out_of_memory(error):
        raise error
    return batch_size // 2


def too_little_for_one(error: Exception) -> OutOfMemoryError:
    """What to say where `error` says that memory ran out for a single question.

    Raises:
        Exception: `error`, where it says anything else.
    """
    if not is_out_of_memory(error):
        raise error
    return OutOfMemoryError(
        "Memory ran out with a single question.",
        hint="Close other programs and chats, ask for shorter answers, or use a machine with more "
        "memory.",
    )

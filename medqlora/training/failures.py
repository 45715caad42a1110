"""Errors of the training libraries as ours."""

from __future__ import annotations

from medqlora.errors import (
    DiskFullError,
    GpuLostError,
    MedQLoRAError,
    NoGpuError,
    OutOfMemoryError,
    TrainingError,
)

_OUT_OF_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "Cannot allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "bad_alloc",  # C++, in the threads of a backward pass
    "could not create a memory",  # oneDNN, on the CPU
    "could not create a primitive",
)
_NO_KERNEL_WORDS = "no kernel image is available"
_OWN_FAULT_WORDS = "device-side assert"
_CARD_WORDS = ("CUDA error", "CUDA driver", "cuDNN error", "CUBLAS_STATUS_", "NVML", "NCCL error")
_DISK_FULL_WORDS = ("No space left", "quota exceeded", "File too large", "inline_container")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a foreign error says that memory ran out, on a GPU or in RAM."""
    return isinstance(error, MemoryError) or any(
        words in str(error) for words in _OUT_OF_MEMORY_WORDS
    )


def card_failure(error: BaseException) -> MedQLoRAError | None:
    """A foreign error that comes from the graphics card or its driver as ours, or None."""
    text = str(error)
    if is_out_of_memory(error) or _OWN_FAULT_WORDS in text:
        return None
    if _NO_KERNEL_WORDS in text:
        return NoGpuError(
            "This machine's PyTorch cannot compute on its graphics card, which is too old or too "
            "new for it.",
            hint="Use another card, or install a build of PyTorch that was made for this one.",
        )
    if isinstance(error, RuntimeError) and any(words in text for words in _CARD_WORDS):
        return GpuLostError(
            "The graphics card or its driver stopped answering in the middle of the job.",
            hint="Press Resume to go on from the last checkpoint. If it happens again, restart the "
            "machine first (on Colab: Runtime, Disconnect and delete runtime).",
        )
    return None


def translated(error: Exception) -> MedQLoRAError:
    """A foreign error from inside a training step as ours."""
    text = str(error)
    if is_out_of_memory(error):
        return OutOfMemoryError(
            "Memory ran out during training.",
            hint=(
                "Choose a smaller batch or a shorter longest entry on Configure; "
                "accumulation keeps the effective batch."
            ),
        )
    if any(words in text for words in _DISK_FULL_WORDS):
        # torch reports a full disk in the middle of a file as a broken archive.
        return DiskFullError(
            "The checkpoint could not be written: the disk is full.",
            hint="Free some space (old runs can be deleted), then press Resume; the checkpoint "
            "before it is untouched.",
        )
    return card_failure(error) or TrainingError(
        f"Training stopped because of a {type(error).__name__} in the training library.",
        hint=(
            "Resume goes on from the last checkpoint; worker.log in the run's folder has "
            "the details."
        ),
    )

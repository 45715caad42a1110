"""Every exception that medqlora raises on purpose.

    MedQLoRAError(message, *, hint)
    ├── DataError                    a file or a row that cannot be used
    │   ├── MappingNeededError       columns whose meaning only the user can tell
    │   └── PhiDecisionNeededError   what may be PHI, and only the user can say what to do with it
    ├── ConfigError                  a setting outside its range, or settings that contradict
    ├── ModelError                   a model or an adapter that cannot be loaded
    ├── TrainingError                a run that could not go on
    │   ├── OutOfMemoryError
    │   │   └── ModelOutOfMemoryError  while the model was being loaded, where no batch helps
    │   └── NonFiniteLossError
    ├── EvaluationError
    ├── PersistenceError             something on disk that is missing, damaged or refused
    │   ├── CheckpointCorruptError
    │   ├── CheckpointDiffersError   resuming would go on with something else; only the user can say
    │   ├── StorageUnavailableError
    │   └── DiskFullError
    ├── SessionError                 the machine or the notebook session
    │   ├── NoGpuError
    │   ├── GpuLostError
    │   └── DependencyError
    ├── AccessError                  somebody asked for what their role does not allow
    └── GpuBusyError                 another job holds the machine

`message` and `hint` are both fit to be shown to a clinician: what happened, and the way out.
Neither ever carries text of a data row. Foreign errors become one of these once, where they enter
the house. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from medqlora.domain.dataset import ColumnMapping


class MedQLoRAError(Exception):
    """Base of all our errors; a message and a way out, both in words a user can act on.

    Args:
        message: What happened, one plain sentence.
        hint: The next step, one plain sentence.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows under the cell: IPython asks for this in place of a traceback."""
        return [self.message, self.hint]


class DataError(MedQLoRAError):
    """A file or a row that cannot be used as question-answer data."""

    code = "data_error"


class MappingNeededError(DataError):
    """The columns of a table do not say by themselves which is the prompt and which the response.

    Args:
        message: What is unclear.
        hint: What to say, in words that fit a page and a command line.
        columns: The columns found, in file order.
        candidates: Readings to choose from, the likeliest first; none of them is certain.
        samples: A few values of each column, cut short, to tell columns apart. They are text of
            rows: for the user's eyes, never for a message or a log.
    """

    code = "mapping_needed"

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        columns: tuple[str, ...],
        candidates: tuple[ColumnMapping, ...] = (),
        samples: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.columns = columns
        self.candidates = candidates
        self.samples = samples or {}


class PhiDecisionNeededError(DataError):
    """The PHI screen found something and was not told what to do with it.

    Args:
        message: How many rows it concerns.
        hint: How to say what to do.
        spans_by_kind: Findings by kind.
    """

    code = "phi_decision_needed"

    def __init__(
        self, message: str, *, hint: str, spans_by_kind: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.spans_by_kind = spans_by_kind or {}


class ConfigError(MedQLoRAError):
    """A setting outside its range, or settings that contradict each other."""

    code = "config_error"


class ModelError(MedQLoRAError):
    """A base model or an adapter that cannot be found, loaded or combined."""

    code = "model_error"


class TrainingError(MedQLoRAError):
    """A training run that could not start or could not go on."""

    code = "training_error"


class OutOfMemoryError(TrainingError):
    """GPU memory or RAM ran out."""

    code = "out_of_memory"


class ModelOutOfMemoryError(OutOfMemoryError):
    """GPU memory or RAM ran out while the model was being loaded."""

    code = "out_of_memory_loading"


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite."""

    code = "non_finite_loss"


class EvaluationError(MedQLoRAError):
    """Queries that could not be answered or scored."""

    code = "evaluation_error"


class PersistenceError(MedQLoRAError):
    """Something on disk that is missing, damaged or refused."""

    code = "persistence_error"


class CheckpointCorruptError(PersistenceError):
    """A checkpoint whose files are not the ones that were written."""

    code = "checkpoint_corrupt"


class CheckpointDiffersError(PersistenceError):
    """A checkpoint was made with other package versions, settings or data than there are now.

    Args:
        message: What differs.
        hint: How to go on all the same.
        differences: One sentence each.
    """

    code = "checkpoint_differs"

    def __init__(self, message: str, *, hint: str, differences: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.differences = differences


class StorageUnavailableError(PersistenceError):
    """A folder that cannot be read or written."""

    code = "storage_unavailable"


class DiskFullError(PersistenceError):
    """No space is left where a file has to be written."""

    code = "disk_full"


class SessionError(MedQLoRAError):
    """The machine or the notebook session cannot do what was asked."""

    code = "session_error"


class NoGpuError(SessionError):
    """A step that needs a GPU on a machine without one."""

    code = "no_gpu"


class GpuLostError(SessionError):
    """A GPU or its driver that stopped answering in the middle of a job."""

    code = "gpu_lost"


class DependencyError(SessionError):
    """A package that is missing and could not be installed."""

    code = "dependency_error"


class AccessError(MedQLoRAError):
    """Somebody asked for what their role does not allow."""

    code = "access_denied"


class GpuBusyError(MedQLoRAError):
    """Another job holds the machine.

    Args:
        message: What is busy.
        hint: The way out.
        holder: The id of the job that holds the lease, empty when it could not be read.
    """

    code = "busy"

    def __init__(self, message: str, *, hint: str, holder: str = "") -> None:
        super().__init__(message, hint=hint)
        self.holder = holder


def _with_subclasses(root: type[MedQLoRAError]) -> list[type[MedQLoRAError]]:
    return [root] + [one for child in root.__subclasses__() for one in _with_subclasses(child)]


ERRORS_BY_CODE: Mapping[str, type[MedQLoRAError]] = {
    error.code: error for error in _with_subclasses(MedQLoRAError)
}

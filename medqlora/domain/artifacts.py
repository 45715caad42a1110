"""What a run leaves on disk: adapters (deliverable) and checkpoints (resumable)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveResult:
    """An adapter that was saved.

    Attributes:
        path: Folder of the adapter.
        size_bytes: Size of its files.
        sha256: Hash of the weights file.
    """

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInfo:
    """A checkpoint whose files were validated.

    Attributes:
        path: Folder of the checkpoint.
        step: Optimizer step after which it was written.
        size_bytes: Size of its files.
    """

    path: str
    step: int
    size_bytes: int

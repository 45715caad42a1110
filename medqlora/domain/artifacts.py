"""What a run leaves on disk: adapters (deliverable) and checkpoints (resumable)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


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
class CheckpointOrigin:
    """What a checkpoint was made from and with; what must be the same for a resume to be exact.

    Attributes:
        run_id: The run it belongs to.
        config: The settings that the run was asked for.
        data: SHA-256 of each file of entries, by its name.
        versions: Versions of Python and of the packages that matter, by name.
    """

    run_id: str
    config: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, and one hash each for the settings and the data."""
        hashes = {f"{name}_sha256": _sha256(getattr(self, name)) for name in ("config", "data")}
        return {**asdict(self), **hashes}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> CheckpointOrigin:
        """What `to_json` wrote.

        Raises:
            KeyError: A field is missing.
        """
        return cls(**{name: record[name] for name in ("run_id", "config", "data", "versions")})


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInfo:
    """A checkpoint whose files were validated.

    Attributes:
        path: Folder of the checkpoint.
        step: Optimizer step after which it was written.
        size_bytes: Size of its files.
        origin: What it was made from, or None where that was not recorded.
    """

    path: str
    step: int
    size_bytes: int
    origin: CheckpointOrigin | None = None


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()

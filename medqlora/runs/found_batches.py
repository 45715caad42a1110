"""FoundBatches: micro-batches that were found to fit, kept for the next run of the same kind.

A record holds for one card, model, set of settings and versions, all of which stand in it; it is
used for data whose longest entries need no more than those that were tried. A record that is
damaged or was made under other circumstances counts as not there. It tries nothing itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.jobs import JobSpec
from medqlora.models.memory_reading import detect_gpu
from medqlora.persistence.atomic import translated_os_errors, write_json
from medqlora.persistence.workspace import Workspace
from medqlora.runs.run_directory import recorded_versions

SETTINGS = (
    "model_name",
    "engine",
    "quantization",
    "double_quantization",
    "compute_dtype",
    "rank",
    "target_modules",
    "max_seq_length",
    "optim",
    "gradient_checkpointing",
    "padding_free",
    "auto_find_batch_size",
    "num_processes",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
)
"""Settings that decide how much fits, and how many entries there are to divide."""

VERSIONS = ("torch", "transformers", "trl", "peft", "bitsandbytes", "unsloth")
"""Packages whose versions decide how much fits."""

FEWEST_OF_TRIED = 0.5
"""Entries that need less than this share of what was tried are tried anew: more may fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBatch:
    """A micro-batch that fitted.

    Attributes:
        per_device_train_batch_size: Entries at once.
        gradient_accumulation_steps: How often before the weights are changed.
        gradient_checkpointing: Whether activations were computed twice.
        engine: What trained.
        num_tokens: Tokens of so many of the longest entries.
        run_id: The run that found it.
    """

    per_device_train_batch_size: int
    gradient_accumulation_steps: int
    gradient_checkpointing: bool
    engine: str
    num_tokens: int
    run_id: str

    def suits(self, row_tokens: Sequence[int], *, engine: str, per_step: int) -> bool:
        """Whether entries of these lengths need what was tried, and not much less."""
        size = self.per_device_train_batch_size
        is_same = engine == self.engine and size * self.gradient_accumulation_steps == per_step
        tokens = longest_tokens(row_tokens, size)
        return is_same and FEWEST_OF_TRIED * self.num_tokens <= tokens <= self.num_tokens


def longest_tokens(row_tokens: Sequence[int], size: int) -> int:
    """Tokens of the `size` longest entries."""
    return sum(sorted(row_tokens, reverse=True)[:size])


class FoundBatches:
    """The records of one workspace.

    Args:
        folder: Where they lie.
        spec: The run whose kind is meant, with the settings that were asked for.
    """

    def __init__(self, folder: Path, spec: JobSpec) -> None:
        self._key = _key(spec)
        text = json.dumps(self._key, sort_keys=True)
        self._path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.json"

    def find(self) -> FoundBatch | None:
        """What was found for runs of this kind, or None."""
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
            found = FoundBatch(**record["found"])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        types = {"per_device_train_batch_size": int, "gradient_accumulation_steps": int}
        types |= {"gradient_checkpointing": bool, "engine": str, "num_tokens": int, "run_id": str}
        is_whole = all(type(getattr(found, name)) is kind for name, kind in types.items())
        return found if is_whole and record.get("key") == self._key else None

    def keep(self, found: FoundBatch) -> None:
        """Keeps what was found, in place of what was known.

        Raises:
            DiskFullError: No space is left.
            StorageUnavailableError: The folder cannot be written.
        """
        write_json(self._path, {"key": self._key, "found": asdict(found)})

    def forget(self) -> None:
        """Removes what was known, because it did not fit after all.

        Raises:
            StorageUnavailableError: The folder cannot be written.
        """
        with translated_os_errors(self._path.parent):
            self._path.unlink(missing_ok=True)


def found_batches(spec: JobSpec) -> FoundBatches:
    """The records beside the models that `spec` uses."""
    return FoundBatches(Workspace(Path(spec.models_dir).parent).batches, spec)


def _key(spec: JobSpec) -> Mapping[str, Any]:
    gpu, versions = detect_gpu(), recorded_versions()
    total_gib = gpu.total_gib if gpu else psutil.virtual_memory().total / 2**30
    settings = QLoRAConfig.from_dict(spec.config).to_dict()
    key = {
        "card": gpu.name if gpu else "none",
        "driver": gpu.driver_version if gpu else "",
        "memory_gib": round(total_gib, 2),
        "settings": {name: settings[name] for name in SETTINGS},
        "versions": {name: versions[name] for name in VERSIONS if name in versions},
    }
    # As it will come back: a tuple is a list in JSON.
    comparable: Mapping[str, Any] = json.loads(json.dumps(key))
    return comparable

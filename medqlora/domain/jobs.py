"""What a worker is asked to do, as it stands in a job directory's `run.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

JobKind = Literal["train", "evaluate", "import", "prepare", "measure", "benchmark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One job.

    Attributes:
        run_id: Name of its directory.
        kind: What kind of work it is.
        name: What the user sees.
        created_at: UTC time, ISO 8601.
        config: The settings, as `QLoRAConfig.to_dict` gives them.
        models_dir: Where unpacked base models lie.
        dataset: What is known of the data: name, id, hash, counts.
        adapter_dir: Evaluation: the adapter that is asked beside its base.
        options: What the kind of work needs besides, such as `max_new_tokens`.
        versions: Versions of Python and of the packages that matter, by name.
    """

    run_id: str
    kind: JobKind
    name: str
    created_at: str
    config: Mapping[str, Any]
    models_dir: str
    dataset: Mapping[str, Any] = field(default_factory=dict)
    adapter_dir: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)

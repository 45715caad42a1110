"""LibraryService: adapters that come from elsewhere, and what a run's adapter leaves as.

An adapter leaves as a zip file, or merged into its base model. A foreign one becomes a finished run
without data: Evaluate (own questions) and Compare list it like any other. What may come in is
decided by `persistence.archive` and `persistence.foreign_adapter`; nothing of it is loaded here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import RunStarted, RunSucceeded
from medqlora.domain.jobs import JobSpec
from medqlora.errors import ConfigError, ModelError
from medqlora.models import catalog, embedded, hub, on_disk
from medqlora.models.four_bit_copy import OWN
from medqlora.models.merging import MergedModel, merge
from medqlora.models.model_files import ModelFiles, silent
from medqlora.persistence.adapters import CONFIG, METADATA, WEIGHTS
from medqlora.persistence.archive import pack_adapter, unpack_adapter
from medqlora.persistence.atomic import translated_os_errors, write_json
from medqlora.persistence.foreign_adapter import ForeignAdapter, check_weights, read_config
from medqlora.persistence.whole_folders import unfinished
from medqlora.persistence.workspace import Workspace
from medqlora.runs.event_log import EventLogWriter
from medqlora.runs.run_directory import RunDirectory, new_run_id, recorded_versions
from medqlora.services.asked_run import require_adapter

IMPORTED = "imported"


class LibraryService:
    """Foreign adapters of a workspace.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def import_adapter(self, file: Path, *, base_model: str = "") -> str:
        """Brings the adapter of a zip file in, and returns the id of the run that stands for it.

        Args:
            file: A zip file with PEFT's two files.
            base_model: The model it belongs to; what its configuration says when not given.

        Raises:
            ModelError: It is not a plain LoRA adapter in safetensors of a base model that is known
                here, or any of it looks like something else.
            DiskFullError: No space is left.
        """
        uploads = self._workspace.uploads
        with translated_os_errors(uploads), unfinished(uploads) as place:
            staging = place / "adapter"
            staging.mkdir()
            unpack_adapter(file, staging)
            adapter = read_config(staging / CONFIG)
            name = base_model or _named(adapter)
            files = ModelFiles(models_dir=self._workspace.models)
            config = _settings(adapter, name)
            if not files.is_local(name) and name == adapter.base_model:
                config = config.changed(model_revision=adapter.revision)
            base = self._described(config)
            check_weights(staging / WEIGHTS, adapter, base)
            write_json(staging / CONFIG, adapter.to_peft(name, base))
            chosen = files.choose_weights(config)
            return self._kept(staging, chosen.config)

    def export(self, run: RunDirectory, folder: Path) -> Path:
        """Writes the adapter of a run as a zip file into `folder` and returns the file.

        It holds PEFT's two files, what the run recorded and the model card: what `import_adapter`
        takes, here or elsewhere.

        Raises:
            EvaluationError: The run has no adapter.
            DiskFullError: No space is left.
        """
        require_adapter(run)
        file = folder / f"adapter-{run.run_id}.zip"
        pack_adapter(run.adapter, file)
        return file

    def export_merged(
        self, run: RunDirectory, folder: Path, *, on_progress: Callable[[str, float], None] = silent
    ) -> MergedModel:
        """Writes the base model with the run's adapter merged into it, as a folder in `folder`.

        The weights are the model's own in 16 bits, fetched where the run was trained on a 4-bit
        copy, at the commit that it recorded.

        Args:
            run: A run with an adapter.
            folder: Where the new folder, named after the run, is made.
            on_progress: Told what is being done and how far it is, 0 to 1.

        Raises:
            EvaluationError: The run has no adapter.
            ModelError, PersistenceError, DiskFullError: See `models.merging.merge`.
        """
        require_adapter(run)
        config = QLoRAConfig.from_dict(run.spec().config).changed(base_weights=OWN)
        files = ModelFiles(models_dir=self._workspace.models, on_progress=on_progress)
        base = files.folder(config)
        return merge(run.adapter, base, folder / run.run_id, on_progress=on_progress)

    def _kept(self, staging: Path, config: QLoRAConfig) -> str:
        name = config.model_name
        write_json(
            staging / METADATA,
            {
                "model_name": name,
                "dataset_info": {"name": IMPORTED},
                "training_config": config.to_dict(),
                "training_metrics": {},
                "timestamp": datetime.now(UTC).isoformat(),
            },
        )
        run_id = new_run_id(IMPORTED)
        spec = JobSpec(
            run_id=run_id,
            kind="train",
            name=f"Imported adapter on {name}",
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            config=config.to_dict(),
            models_dir=str(self._workspace.models),
            dataset={"name": IMPORTED},
            versions=recorded_versions(),
        )

        def fill(made: RunDirectory) -> None:
            made.train_entries.touch()
            made.eval_entries.touch()
            staging.rename(made.adapter)
            with EventLogWriter(made.events, run_id=run_id) as log:
                log.append(RunStarted(job="train"))
                log.append(RunSucceeded())

        RunDirectory.create(self._workspace.runs / run_id, spec, fill=fill)
        return run_id

    def _described(self, config: QLoRAConfig) -> Mapping[str, Any]:
        """The base model's own configuration.

        Raises:
            ModelError: It is not a model that is known here.
        """
        name = config.model_name
        folder = on_disk.folder_of(self._workspace.models, name)
        if name == EMBEDDED_MODEL:
            if not embedded.is_unpacked(self._workspace.models):
                return embedded.SHAPE
            folder = embedded.folder(self._workspace.models)
        if folder is not None:
            described: Mapping[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
            return described
        if catalog.entry_for(name) is None:
            raise ModelError(
                "The adapter's base model is not one that is known here.",
                hint="Choose the base model it was trained on from the list, or put that model's "
                "files into the workspace's folder models.",
            )
        return hub.fetch_config(name, config.model_revision or hub.newest_revision(name))


def _named(adapter: ForeignAdapter) -> str:
    # Adapters of this app name the folder in which the embedded model lay.
    last = adapter.base_model.rstrip("/").rpartition("/")[2]
    return EMBEDDED_MODEL if last == embedded.FOLDER_NAME else adapter.base_model


def _settings(adapter: ForeignAdapter, name: str) -> QLoRAConfig:
    try:
        return QLoRAConfig(
            name,
            rank=adapter.rank,
            alpha=adapter.alpha,
            dropout=adapter.dropout,
            target_modules=adapter.target_modules,
        )
    except ConfigError as error:
        raise ModelError(error.message, hint="Use an adapter within these bounds.") from error

"""AdapterSaver: a fine-tuned adapter on disk with what is needed to understand it.

An adapter folder holds PEFT's own two files and `metadata.json`. Saving refuses weights that are
not finite. Archives and foreign adapters are `persistence.archive`'s work.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqlora.domain.artifacts import SaveResult
from medqlora.domain.training import TrainingMetadata
from medqlora.errors import ModelError, NonFiniteLossError, PersistenceError
from medqlora.persistence.atomic import sync_folder, translated_os_errors, write_json
from medqlora.persistence.whole_folders import flush_folder, sweep, unfinished

if TYPE_CHECKING:
    from peft import PeftModel

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
METADATA = "metadata.json"
CARD = "README.md"


class AdapterSaver:
    """Saves and loads adapters.

    Args:
        adapter_dir: Where `save_adapter` writes; an adapter that is there is replaced in one step.
    """

    def __init__(self, adapter_dir: Path) -> None:
        self._adapter_dir = adapter_dir

    def save_adapter(self, model: PeftModel, metadata: TrainingMetadata) -> SaveResult:
        """Writes the adapter of `model` with its metadata.

        Raises:
            NonFiniteLossError: A weight is NaN or infinite.
            DiskFullError: No space is left.
        """
        refuse_non_finite(model)
        target = self._adapter_dir
        with translated_os_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            sweep(target.parent)
            with unfinished(target.parent) as place:
                staging = place / target.name
                model.save_pretrained(str(staging))
                _name_base(staging / CONFIG, metadata)
                # PEFT's own card is a form without answers that names a path of this machine.
                (staging / CARD).unlink(missing_ok=True)
                write_json(
                    staging / METADATA,
                    {**asdict(metadata), "timestamp": metadata.timestamp.isoformat()},
                )
                flush_folder(staging)
                shutil.rmtree(target, ignore_errors=True)
                staging.rename(target)
                sync_folder(target.parent)
        with (target / WEIGHTS).open("rb") as weights:
            digest = hashlib.file_digest(weights, "sha256").hexdigest()
        size = sum(file.stat().st_size for file in target.iterdir())
        return SaveResult(path=str(target), size_bytes=size, sha256=digest)

    def load_adapter(self, adapter_path: str) -> PeftModel:
        """The adapter on the base model that its metadata names, loaded as it was trained.

        Raises:
            PersistenceError: The folder is not an adapter of ours.
            ModelError: The base model or the adapter cannot be loaded.
        """
        from medqlora.config.qlora import QLoRAConfig
        from medqlora.models.engine_choice import asking_engine
        from medqlora.models.loader import QuantizedModelLoader

        config = QLoRAConfig.from_dict(self.metadata(adapter_path)["training_config"])
        engine = asking_engine()
        loaded = QuantizedModelLoader().load(config, engine=engine)
        return engine.load_adapter(loaded.model, Path(adapter_path))

    def verify_compatibility(self, adapter_path: str, base_model: str) -> bool:
        """Whether the adapter was trained on `base_model`.

        Raises:
            PersistenceError: The folder is not an adapter of ours.
        """
        return bool(self.metadata(adapter_path)["model_name"] == base_model)

    @staticmethod
    def metadata(adapter_path: str) -> dict[str, Any]:
        """What was recorded beside the adapter.

        Raises:
            PersistenceError: The folder is not an adapter of ours.
        """
        folder = Path(adapter_path)
        try:
            if not ((folder / WEIGHTS).is_file() and (folder / CONFIG).is_file()):
                raise FileNotFoundError
            found: dict[str, Any] = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PersistenceError(
                f"{folder.name} is not an adapter that this app saved.",
                hint="Choose a finished run from the list.",
            ) from error
        return found


def _name_base(config: Path, metadata: TrainingMetadata) -> None:
    """Names the base model in PEFT's file, which has the folder that it was loaded from.

    Not on the model before it is saved: PEFT would then ask the hub at every save.
    """
    about = json.loads(config.read_text(encoding="utf-8"))
    about["base_model_name_or_path"] = metadata.model_name
    revision = metadata.training_config.get("model_revision")
    if revision:
        about["revision"] = revision
    write_json(config, about)


def refuse_non_finite(model: PeftModel) -> None:
    """Refuses an adapter that must not be saved, as a result or in a checkpoint.

    Raises:
        NonFiniteLossError: A weight is NaN or infinite.
        ModelError: There is no adapter.
    """
    trained = [(name, weights) for name, weights in model.named_parameters() if "lora_" in name]
    if not trained:
        raise ModelError("This model has no adapter to save.", hint="Attach one before training.")
    if any(not bool(weights.isfinite().all()) for _, weights in trained):
        raise NonFiniteLossError(
            "The adapter has weights that are not numbers and was not saved.",
            hint="Start again with a smaller learning rate.",
        )

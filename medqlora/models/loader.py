"""QuantizedModelLoader: from a model's name to a quantised model in memory.

It resolves names (embedded, folder or hub) and refuses early what `models.compatibility` says
cannot work. Which engine loads is for `engine_choice` to say or for the caller to give. It does not
train.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.resources import MemoryStats
from medqlora.errors import ConfigError, ModelError
from medqlora.models import catalog, embedded, hub, on_disk
from medqlora.models.compatibility import ModelCompatibilityChecker, compatibility_report
from medqlora.models.engine import LoadedModel, ModelEngine
from medqlora.models.engine_choice import EngineChoice, choose_engine, obstacle, this_machine
from medqlora.models.memory_forecast import ModelShape, shape_of
from medqlora.models.memory_reading import detect_gpu
from medqlora.models.sharding_choice import ShardingChoice, choose_sharding
from medqlora.persistence.workspace import DEFAULT_ROOT

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def _silent(phase: str, progress: float) -> None:
    """Nobody is watching."""


class QuantizedModelLoader:
    """Loads base models in 4 bits and puts adapters on them.

    Args:
        models_dir: Where unpacked models lie; the default workspace's folder when not given.
        on_progress: Told what is being done and how far it is, 0 to 1.
    """

    def __init__(
        self, *, models_dir: Path | None = None, on_progress: Callable[[str, float], None] = _silent
    ) -> None:
        self._models_dir = models_dir or DEFAULT_ROOT / "models"
        self._on_progress = on_progress
        self._loaded: LoadedModel | None = None
        self._config: QLoRAConfig | None = None
        self._engine: ModelEngine | None = None
        self._revisions: dict[str, str] = {}

    def load(
        self,
        config: QLoRAConfig,
        *,
        engine: ModelEngine | None = None,
        adapter_path: str | None = None,
        will_be_sharded: bool = False,
    ) -> LoadedModel:
        """The base model of `config` with its tokenizer.

        Args:
            config: The settings.
            engine: What loads it; the one that would train it when not given.
            adapter_path: An adapter that will be put on it, to refuse one of another base early.
            will_be_sharded: Whether the caller shares it out as the settings say; otherwise, as for
                asking it, it is loaded to stay whole.

        Raises:
            ModelError: It cannot be found or loaded, does not fit this machine or the adapter.
            PersistenceError: There is no adapter in `adapter_path`.
            DiskFullError: The embedded model cannot be unpacked.
        """
        catalog.check_id(config.model_name)
        if not will_be_sharded:
            config = config.changed(shard_weights="no")
        if adapter_path:
            compatibility_report(adapter_path, config.model_name).require()
        self._engine = engine or self.choose_engine(config).engine
        source = self.find(config)
        self._config = config
        self._loaded = self._engine.load_base(source, config)
        return self._loaded

    def find(self, config: QLoRAConfig) -> str:
        """The folder of the base model of `config`, once it is known to work on this machine.

        Raises:
            ModelError: It cannot be found, or does not fit this machine.
            DiskFullError: The embedded model cannot be unpacked.
        """
        checker = ModelCompatibilityChecker()
        checker.check(self._known_of(config), config=config).require()
        source = self.resolve(config.model_name, revision=config.model_revision)
        checker.check(Path(source), config=config).require()
        return source

    def choose_engine(self, config: QLoRAConfig) -> EngineChoice:
        """The engine that trains the model of `config` on this machine, with the reason.

        A model from the hub is fetched to see what kind it is. The embedded one is known and not
        unpacked yet, because that needs transformers, and Unsloth has to be imported before it.

        Raises:
            ModelError: The model cannot be fetched, or the engine asked for cannot be used.
        """
        return choose_engine(config, model_type=self._about(config).get("model_type"))

    def choose_sharding(self, config: QLoRAConfig) -> ShardingChoice:
        """Whether a run of `config` on this machine shares out the model over its processes.

        Raises:
            ModelError: The model cannot be fetched.
        """
        if config.num_processes == 1:
            return ShardingChoice(config=config.changed(shard_weights="no"))
        about = self._about(config)
        asks = config.engine == "transformers"
        whole = config.changed(shard_weights="no")
        in_the_way = asks or obstacle(whole, this_machine(), model_type=about.get("model_type"))
        return choose_sharding(
            config,
            shape_of(about),
            gpu=detect_gpu(),
            engine="transformers" if in_the_way else "unsloth",
        )

    def shape(self, source: str) -> ModelShape | None:
        """The shape of the model in the folder `find` gave, or None where it is not told.

        It imports transformers, so the engine has to be chosen before.
        """
        from transformers import AutoConfig

        try:
            about = AutoConfig.from_pretrained(
                source, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError):
            return None  # loading will say what is wrong
        return shape_of(about.to_dict())

    def pinned(self, config: QLoRAConfig) -> QLoRAConfig:
        """`config` with the commit of its base model, where that comes from the hub.

        A run records it, so that all that is done with the run later uses the same files, whatever
        the vendor publishes meanwhile.

        Raises:
            ConfigError: A revision is given for a model that is not from the hub.
            ModelError: The name cannot be a model's, or the hub has no such model or cannot be
                asked.
        """
        catalog.check_id(config.model_name)
        if self._is_local(config.model_name):
            if config.model_revision:
                raise ConfigError(
                    f"{config.model_name} lies on this machine, so it has no revision of the hub.",
                    hint="Leave model_revision out.",
                )
            return config
        return config.changed(model_revision=self._revision_of(config))

    def load_base_model(self, model_name: str, config: QLoRAConfig) -> PreTrainedModel:
        """The base model called `model_name`, quantised as `config` says.

        See `load` for the errors.
        """
        return self.load(config.changed(model_name=model_name)).model

    def apply_lora_adapters(self, model: Any) -> PeftModel:
        """`model` with a fresh adapter, as the configuration it was loaded with says.

        Raises:
            ModelError: Nothing was loaded before, or the model has none of the adapted layers.
        """
        if self._config is None or self._engine is None:
            raise ModelError(
                "There are no settings to make an adapter from yet.",
                hint="Call load_base_model first.",
            )
        return self._engine.attach_adapter(model, self._config)

    def verify_memory_usage(self) -> MemoryStats:
        """Memory in use now, on the GPU where there is one, of this process otherwise."""
        from medqlora.models.memory_reading import read_memory

        return read_memory()

    def resolve(self, model_name: str, *, revision: str = "", needs_weights: bool = True) -> str:
        """Folder of a model; the embedded one is unpacked first when it is not yet.

        Args:
            model_name: The model.
            revision: Its commit on the hub; the newest when empty.
            needs_weights: False fetches only what its tokenizer needs.

        Raises:
            ModelError: The name cannot be a model's, or the hub cannot be reached.
        """
        catalog.check_id(model_name)
        if model_name == EMBEDDED_MODEL:
            return str(embedded.unpack(self._models_dir, on_progress=self._on_progress))
        entry = catalog.entry_for(model_name)
        if entry and entry.folder:
            return _local(entry)
        folder = on_disk.folder_of(self._models_dir, model_name)
        if folder:
            return str(folder)
        self._on_progress(f"Fetching {model_name}", 0.0)
        commit = self._revision_of(QLoRAConfig(model_name, model_revision=revision))
        return str(hub.fetch(model_name, commit, needs_weights=needs_weights))

    def _about(self, config: QLoRAConfig) -> Mapping[str, Any]:
        """The model's `config.json`; empty where it cannot be read."""
        if config.model_name == EMBEDDED_MODEL:
            return embedded.DESCRIPTION
        return _described(Path(self.resolve(config.model_name, revision=config.model_revision)))

    def _known_of(self, config: QLoRAConfig) -> str | Mapping[str, Any]:
        """What can be judged before gigabytes are fetched: the name, or the hub's description."""
        name = config.model_name
        if catalog.entry_for(name) or on_disk.folder_of(self._models_dir, name):
            return name
        return {**hub.fetch_config(name, self._revision_of(config)), "_name_or_path": name}

    def _is_local(self, model_name: str) -> bool:
        entry = catalog.entry_for(model_name)
        return (
            model_name == EMBEDDED_MODEL
            or bool(entry and entry.folder)
            or on_disk.folder_of(self._models_dir, model_name) is not None
        )

    def _revision_of(self, config: QLoRAConfig) -> str:
        """The commit of a hub model; asked for once, so that all files are of the same."""
        name = config.model_name
        if config.model_revision:
            return config.model_revision
        if name not in self._revisions:
            self._revisions[name] = hub.newest_revision(name)
        return self._revisions[name]


def _local(entry: catalog.CatalogEntry) -> str:
    if not Path(entry.folder).is_dir():
        raise ModelError(
            f"The folder of {entry.name}, {entry.folder}, is not there.",
            hint=f"Put the model's files there, or choose {EMBEDDED_MODEL}.",
        )
    return entry.folder


def engine_for(config: QLoRAConfig) -> ModelEngine:
    """The engine that trains `config` on this machine; `choose_engine` also says why.

    Raises:
        ModelError: `config` asks for an engine that cannot be used here.
    """
    return choose_engine(config).engine


def _described(source: Path) -> Mapping[str, Any]:
    try:
        about: Any = json.loads((source / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}

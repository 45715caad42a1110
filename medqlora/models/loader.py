"""QuantizedModelLoader: from a model's name to a quantised model in memory.

It refuses early what `models.compatibility` says cannot work. Where files come from is
`model_files`' work; which engine loads is for `engine_choice` to say or for the caller to give. It
does not train.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.resources import MemoryStats
from medqlora.errors import ModelError
from medqlora.models import catalog
from medqlora.models.compatibility import ModelCompatibilityChecker, compatibility_report
from medqlora.models.compute_dtype import ComputeDtypeChoice, choose_compute_dtype
from medqlora.models.engine import LoadedModel, ModelEngine
from medqlora.models.engine_choice import EngineChoice, choose_engine, obstacle, this_machine
from medqlora.models.memory_forecast import ModelShape, shape_of
from medqlora.models.memory_reading import detect_gpu
from medqlora.models.model_files import ModelFiles, silent
from medqlora.models.sharding_choice import ShardingChoice, choose_sharding

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


class QuantizedModelLoader:
    """Loads base models in 4 bits and puts adapters on them.

    Args:
        models_dir: Where unpacked models lie; the default workspace's folder when not given.
        on_progress: Told what is being done and how far it is, 0 to 1.
    """

    def __init__(
        self, *, models_dir: Path | None = None, on_progress: Callable[[str, float], None] = silent
    ) -> None:
        self.files = ModelFiles(models_dir=models_dir, on_progress=on_progress)
        self._loaded: LoadedModel | None = None
        self._config: QLoRAConfig | None = None
        self._engine: ModelEngine | None = None

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
        config = self.choose_compute_dtype(config).config
        self._engine = engine or self.choose_engine(config).engine
        source = self.find(config)
        self._config = config
        self._loaded = self._engine.load_base(source, config)
        return self._loaded

    def find(self, config: QLoRAConfig) -> str:
        """The folder of the base model of `config`, once it is known to work on this machine.

        Whatever can be refused is refused before weights are fetched.

        Raises:
            ModelError: It cannot be found, or does not fit this machine.
            DiskFullError: The embedded model cannot be unpacked.
        """
        checker = ModelCompatibilityChecker()
        self.files.require_trainable(config, checker)
        source = self.files.folder(config)
        checker.check(source, config=config, name=config.model_name).require()
        return str(source)

    def choose_engine(self, config: QLoRAConfig) -> EngineChoice:
        """The engine that trains the model of `config` on this machine, with the reason.

        Of a model from the hub the description is fetched. The embedded one is known and not
        unpacked yet, because that needs transformers, and Unsloth has to be imported before it.

        Raises:
            ModelError: The model cannot be fetched, or the engine asked for cannot be used.
        """
        return choose_engine(config, model_type=self.files.about(config).get("model_type"))

    def choose_compute_dtype(self, config: QLoRAConfig) -> ComputeDtypeChoice:
        """What the model of `config` is computed in on this machine.

        Raises:
            ModelError: The model cannot be fetched.
        """
        return choose_compute_dtype(config, model_type=self.files.about(config).get("model_type"))

    def choose_sharding(self, config: QLoRAConfig) -> ShardingChoice:
        """Whether a run of `config` on this machine shares out the model over its processes.

        Raises:
            ModelError: The model cannot be fetched.
        """
        if config.num_processes == 1:
            return ShardingChoice(config=config.changed(shard_weights="no"))
        about = self.files.about(config)
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


def engine_for(config: QLoRAConfig) -> ModelEngine:
    """The engine that trains `config` on this machine; `choose_engine` also says why.

    Raises:
        ModelError: `config` asks for an engine that cannot be used here.
    """
    return choose_engine(config).engine

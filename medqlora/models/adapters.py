"""AdapterManager: the adapters on one loaded model, from attaching to describing them.

It works on a model in memory. Saving adapters is `persistence.adapters`' work, and asking with
several of them in one batch `models.generation`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import ModelError
from medqlora.models.compatibility import compatibility_report
from medqlora.models.engine import BASE_ADAPTER, TUNED_ADAPTER, ModelEngine
from medqlora.models.loader import engine_for

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterDescription:
    """One adapter on a model.

    Attributes:
        name: PEFT's name for it.
        rank: LoRA rank.
        alpha: LoRA alpha.
        target_modules: Layers it acts on, sorted.
        num_parameters: Its weights.
        dtype: Number format of its weights.
        is_active: Whether it answers now.
    """

    name: str
    rank: int
    alpha: int
    target_modules: tuple[str, ...]
    num_parameters: int
    dtype: str
    is_active: bool


class AdapterManager:
    """The adapters of one model.

    Args:
        model: A loaded base model, or one that carries adapters already.
        config: The settings it was loaded with.
        engine: The engine it was loaded with; the one of `config` when not given.
    """

    def __init__(
        self, model: Any, config: QLoRAConfig, *, engine: ModelEngine | None = None
    ) -> None:
        self._model = model
        self._config = config
        self._engine = engine or engine_for(config)
        self._active = TUNED_ADAPTER

    @property
    def model(self) -> Any:
        """The model with what was put on it so far."""
        return self._model

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters there are, in the order in which they came."""
        return tuple(self._model.peft_config) if self._is_peft() else ()

    def attach(self) -> PeftModel:
        """Puts a fresh adapter on a model that has none.

        Raises:
            ModelError: There is one already, or the model has none of the adapted layers.
        """
        if self.names:
            raise ModelError(
                f"The model already carries the adapter {self.names[0]}.",
                hint="Load the base model again to start a fresh adapter.",
            )
        attached = self._engine.attach_adapter(self._model, self._config)
        self._model = attached
        return attached

    def load(self, adapter_path: str, *, name: str = TUNED_ADAPTER) -> PeftModel:
        """Puts a saved adapter on the model, beside those that are there, for asking.

        Args:
            adapter_path: Its folder.
            name: What to call it; the first is always called `default`.

        Raises:
            ModelError: It belongs to another base model, is damaged, or the name is taken.
            PersistenceError: The folder holds no adapter.
        """
        compatibility_report(adapter_path, self._config.model_name).require()
        if not self.names:
            self._model = self._engine.load_adapter(self._model, Path(adapter_path))
        else:
            self._load_beside(adapter_path, name)
        carrying: PeftModel = self._model
        return carrying

    def activate(self, name: str) -> None:
        """Makes `name` the adapter that answers; `engine.BASE_ADAPTER` for none of them.

        Raises:
            ModelError: There is no such adapter.
        """
        if name == BASE_ADAPTER and self.names:
            self._model.base_model.disable_adapter_layers()
        elif name in self.names:
            self._model.base_model.enable_adapter_layers()
            self._model.set_adapter(name, inference_mode=not self._model.training)
        else:
            raise ModelError(
                f"The model carries no adapter called {name}.",
                hint=f"Attach or load one first; there are: {', '.join(self.names) or 'none'}.",
            )
        self._active = name

    def describe(self) -> tuple[AdapterDescription, ...]:
        """What adapters there are."""
        return tuple(self._description(name) for name in self.names)

    def _load_beside(self, adapter_path: str, name: str) -> None:
        if name in self.names:
            raise ModelError(
                f"The model already carries an adapter called {name}.",
                hint="Give the second one another name.",
            )
        from safetensors import SafetensorError

        try:
            self._model.load_adapter(adapter_path, adapter_name=name, is_trainable=False)
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            raise ModelError(
                f"The adapter in {Path(adapter_path).name} does not fit this model or is damaged.",
                hint="Choose the base model it was trained on, or another run.",
            ) from error

    def _description(self, name: str) -> AdapterDescription:
        about = self._model.peft_config[name]
        weights = [
            one
            for place, one in self._model.named_parameters()
            if "lora_" in place and f".{name}." in place
        ]
        return AdapterDescription(
            name=name,
            rank=about.r,
            alpha=about.lora_alpha,
            target_modules=tuple(sorted(about.target_modules)),
            num_parameters=sum(one.numel() for one in weights),
            dtype=str(weights[0].dtype).removeprefix("torch."),
            is_active=name == self._active,
        )

    def _is_peft(self) -> bool:
        from peft import PeftModel

        return isinstance(self._model, PeftModel)

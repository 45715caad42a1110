"""ConfigurationService: which settings suit a model and this machine, each with its reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import psutil

from medqlora.colab.resources import ColabResourceDetector
from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.resources import EnvironmentConfig
from medqlora.errors import ModelError
from medqlora.models import catalog, conversion, embedded, hub, on_disk, outlook, pickled
from medqlora.models.catalog import check_id
from medqlora.models.catalog_entry import CatalogEntry
from medqlora.models.compatibility import CompatibilityReport, ModelCompatibilityChecker
from medqlora.models.four_bit_copy import ExpectedDownload, expected_download
from medqlora.models.memory_forecast import ModelShape, shape_of, typical_shape
from medqlora.models.outlook import MemoryOutlook
from medqlora.persistence.workspace import Workspace
from medqlora.services.suggestion import (
    Suggestion,
    suited_to_card,
    suited_to_number,
    suited_to_size,
)

__all__ = [
    "CatalogEntry",
    "CompatibilityReport",
    "ConfigurationService",
    "ExpectedDownload",
    "MemoryOutlook",
    "Suggestion",
]


class ConfigurationService:
    """Suggests and checks settings.

    Args:
        workspace: Where the free disk space counts.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._described: dict[str, Mapping[str, Any]] = {}
        self._is_pickled: dict[str, bool] = {}

    def environment(self) -> EnvironmentConfig:
        """The machine; looked at once."""
        return self._environment

    def models(self) -> tuple[CatalogEntry, ...]:
        """The base models that are known by name, and those that lie in the workspace."""
        return (*catalog.CATALOG, *on_disk.found(self._workspace.models))

    def compatibility(
        self, model_name: str, config: QLoRAConfig | None = None, *, card: str | None = None
    ) -> CompatibilityReport:
        """Whether a model can be trained on this machine, told before its weights are fetched.

        Of a hub model that is not in the catalogue the description is fetched, some kilobytes.

        Args:
            model_name: A name of `models()`, or any hub id.
            config: The settings; the defaults when not given.
            card: A name of `models.outlook.CARDS` to check for; this machine when not given.

        Raises:
            ConfigError: There is no such card.
            ModelError: The name cannot be a model's, there is no such model, or the hub cannot be
                asked.
        """
        check_id(model_name)
        settings = config or QLoRAConfig(model_name)
        checker = ModelCompatibilityChecker(gpu=outlook.card(card) if card else None)
        folder = on_disk.folder_of(self._workspace.models, model_name)
        if folder:
            return checker.check(folder, config=settings, name=model_name)
        if catalog.entry_for(model_name):
            if pickled.is_listed(model_name):
                pickled.require_allowed(model_name)
            return checker.check(model_name, config=settings)
        revision = hub.newest_revision(model_name)
        described = hub.fetch_description(model_name, revision)
        self._described[model_name] = hub.fetch_config(model_name, revision)
        report = checker.check(described, config=settings, name=model_name)
        if report.is_anywhere:
            self._is_pickled[model_name] = bool(pickled.pickles_of(model_name, revision))
        return report

    def download(self, config: QLoRAConfig) -> ExpectedDownload:
        """What training with these settings will fetch; asks nobody.

        Args:
            config: The settings.
        """
        name = config.model_name
        is_here = name == EMBEDDED_MODEL or on_disk.folder_of(self._workspace.models, name)
        shape = self._shape(name)
        if is_here or shape is None:
            return ExpectedDownload(gib=0.0, message="")
        kept = config.model_revision or hub.last_kept(name)
        if conversion.is_converted(self._workspace.models, name, kept):
            return ExpectedDownload(gib=0.0, message="Its converted weights are on this machine.")
        fetched = expected_download(config, shape)
        if not self._is_pickled.get(name, pickled.is_listed(name)):
            return fetched
        return ExpectedDownload(gib=fetched.gib, message=f"{fetched.message} {pickled.ABOUT}")

    def memory(
        self, config: QLoRAConfig, *, card: str | None = None, billion_parameters: float = 0.0
    ) -> MemoryOutlook:
        """What a run with these settings takes, and whether it fits.

        Args:
            config: The settings.
            card: A name of `models.outlook.CARDS`; this machine when not given.
            billion_parameters: Size of a model whose description is out of reach.

        Raises:
            ConfigError: There is no such card.
            ModelError: The model's description cannot be had, and no size is given.
        """
        entry = catalog.entry_for(config.model_name)
        about = {} if billion_parameters else self._about(config.model_name)
        if billion_parameters:
            shape: ModelShape | None = typical_shape(billion_parameters)
        else:
            shape = shape_of(about) or (entry.shape if entry else None)
        if shape is None:
            raise ModelError(
                f"The description of {config.model_name} says too little of its size.",
                hint="Give its size in billions of parameters (--billion).",
            )
        return outlook.outlook(
            shape,
            config,
            gpu=outlook.card(card) if card else self._environment.gpu,
            ram_gib=psutil.virtual_memory().available / 2**30,
            model_type=about.get("model_type") or (entry.model_type if entry else None) or None,
        )

    def default_model(self) -> str:
        """The base model to begin with on this machine's card; the embedded one without a card."""
        return outlook.default_model(self._environment.gpu)

    def smallest_card(self, model_name: str) -> str | None:
        """The smallest card on which a model of `models()` trains; None where it is not known."""
        entry = self._entry(model_name)
        if entry is None:
            return None
        return outlook.smallest_card(entry.shape, model_type=entry.model_type or None)

    def defaults(
        self,
        model_name: str = EMBEDDED_MODEL,
        *,
        num_train: int | None = None,
        card: str | None = None,
    ) -> Suggestion:
        """Settings that suit a model, this machine and the number of training entries.

        Args:
            model_name: The base model.
            num_train: Training entries, or None while there is no dataset.
            card: A name of `models.outlook.CARDS` in place of this machine's.

        Raises:
            ConfigError: `num_train` is below 1, or there is no such card.
        """
        config = QLoRAConfig(model_name)
        gpu = outlook.card(card) if card else self._environment.gpu
        choices = list(self._environment.choices)
        shape = self._shape(model_name)
        if shape:
            sized = suited_to_size(config, shape.billion_parameters, num_train, gpu=gpu)
            config = sized.config
            choices += sized.choices
        if gpu and shape:
            several = suited_to_number(config, gpu, shape, engine=self._environment.engine)
            config = several.config
            choices += several.choices
        if gpu:
            suited = suited_to_card(config, gpu, self._model_type(model_name))
            config = suited.config
            choices += suited.choices
        return Suggestion(config=config, choices=tuple(choices))

    def complete(
        self, values: Mapping[str, Any], *, num_train: int | None = None, card: str | None = None
    ) -> QLoRAConfig:
        """Settings from a file; those that are not given are what suits.

        Args:
            values: What the file says.
            num_train: Training entries, or None while there is no dataset.
            card: As in `defaults`.

        Raises:
            ConfigError: A setting is unknown or not allowed, or there is no such card.
            ModelError: The model's name cannot be one.
        """
        model_name = QLoRAConfig.from_dict(values).model_name
        check_id(model_name)
        suited = self.defaults(model_name, num_train=num_train, card=card).config.to_dict()
        if "rank" in values and "alpha" not in values:
            suited["alpha"] = 2 * int(values["rank"])
        return QLoRAConfig.from_dict({**suited, **values})

    def build(self, values: Mapping[str, Any]) -> QLoRAConfig:
        """Settings from a form or a file; those that are not given keep their defaults.

        Raises:
            ConfigError: A setting is unknown or not allowed.
        """
        return QLoRAConfig.from_dict(values)

    def _entry(self, model_name: str) -> CatalogEntry | None:
        return next((one for one in self.models() if one.name == model_name), None)

    def _shape(self, model_name: str) -> ModelShape | None:
        entry = self._entry(model_name)
        return entry.shape if entry else shape_of(self._described.get(model_name, {}))

    def _model_type(self, model_name: str) -> str | None:
        entry, described = self._entry(model_name), self._described.get(model_name, {})
        return entry.model_type if entry else described.get("model_type")

    def _about(self, model_name: str) -> Mapping[str, Any]:
        """A model's `config.json`: from the disk, from the package, or from the hub."""
        check_id(model_name)
        folder = on_disk.folder_of(self._workspace.models, model_name)
        if model_name == EMBEDDED_MODEL:
            return embedded.DESCRIPTION
        if folder:
            about: Mapping[str, Any] = json.loads((folder / "config.json").read_bytes())
            return about
        if catalog.entry_for(model_name):  # its size is known without asking the hub
            return self._described.get(model_name, {})
        return self._description(model_name)

    def _description(self, model_name: str) -> Mapping[str, Any]:
        if model_name not in self._described:
            revision = hub.newest_revision(model_name)
            self._described[model_name] = hub.fetch_config(model_name, revision)
        return self._described[model_name]

    @cached_property
    def _environment(self) -> EnvironmentConfig:
        return ColabResourceDetector(workspace=self._workspace.root).configure_environment()

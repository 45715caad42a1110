"""ModelFiles: from a base model's name to its files on this machine.

A name is the embedded model's, a folder's of the workspace, or an id of the hub, of which a run
keeps the commit and whose weights it used. What can be refused is refused from the files that
describe a model, before its weights are fetched. It loads nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.errors import ConfigError, ModelError
from medqlora.models import catalog, conversion, embedded, hub, on_disk, pickled
from medqlora.models.catalog_entry import CatalogEntry
from medqlora.models.chat_templates import FILE as CHAT_TEMPLATE
from medqlora.models.chat_templates import missing_template
from medqlora.models.compatibility import ModelCompatibilityChecker
from medqlora.models.four_bit_copy import (
    COPIES,
    OWN,
    FourBitCopy,
    WeightsChoice,
    choose_weights,
    refuse_other,
)
from medqlora.models.linked_folder import linked_folder
from medqlora.models.memory_reading import detect_gpu
from medqlora.persistence.workspace import DEFAULT_ROOT, slug

_GIB = 2**30


def silent(phase: str, progress: float) -> None:
    """Nobody is watching."""


class ModelFiles:
    """Files of base models.

    Args:
        models_dir: Where unpacked models lie; the default workspace's folder when not given.
        on_progress: Told what is being done and how far it is, 0 to 1.
    """

    def __init__(
        self, *, models_dir: Path | None = None, on_progress: Callable[[str, float], None] = silent
    ) -> None:
        self._models_dir = models_dir or DEFAULT_ROOT / "models"
        self._on_progress = on_progress
        self._revisions: dict[str, str] = {}
        self._pickles: dict[tuple[str, str], Mapping[str, int]] = {}

    def require_trainable(
        self, config: QLoRAConfig, checker: ModelCompatibilityChecker | None = None
    ) -> None:
        """Refuses, from a few kilobytes, a model that cannot be trained here.

        Args:
            config: The settings.
            checker: What judges; when not given, the memory that other programs take at the moment
                does not count.

        Raises:
            ModelError: It cannot be found, cannot be trained, or is too large for this machine.
        """
        name = config.model_name
        judge = checker or ModelCompatibilityChecker(
            gpu=detect_gpu(), available_ram_gib=psutil.virtual_memory().total / _GIB
        )
        folder = on_disk.folder_of(self._models_dir, name)
        if folder:
            judge.check(folder, config=config, name=name).require()
            return
        judge.check(name, config=config).require()
        if not self.is_local(name):
            revision = self._revision_of(config)
            described = hub.fetch_description(name, revision)
            judge.check(described, config=config, name=name).require()
            if FourBitCopy.of(config) is None:
                self._is_pickled(name, revision)

    def choose_weights(self, config: QLoRAConfig) -> WeightsChoice:
        """`config` with what it will be trained on: the model's commit, and whose files are loaded.

        A run records both, so that all that is done with it later uses the same weights.

        Raises:
            ConfigError, ModelError: See `pinned`.
        """
        pinned = self.pinned(config)
        if self.is_local(config.model_name):
            if FourBitCopy.of(config):
                raise ConfigError(
                    f"{config.model_name} lies on this machine, and base_weights names a copy of "
                    "the hub.",
                    hint="Leave base_weights out.",
                )
            return WeightsChoice(config=pinned.changed(base_weights=OWN), reason="")
        chosen = choose_weights(pinned)
        place = (config.model_name, chosen.config.model_revision)
        if pickled.is_listed(config.model_name) or self._pickles.get(place):
            return replace(chosen, reason=f"{chosen.reason} {pickled.ABOUT}")
        return chosen

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
        if self.is_local(config.model_name):
            if config.model_revision:
                raise ConfigError(
                    f"{config.model_name} lies on this machine, so it has no revision of the hub.",
                    hint="Leave model_revision out.",
                )
            return config
        return config.changed(model_revision=self._revision_of(config))

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
            return str(self._completed(model_name, folder))
        self._on_progress(f"Fetching {model_name}", 0.0)
        commit = self._revision_of(QLoRAConfig(model_name, model_revision=revision))
        if needs_weights and self._is_pickled(model_name, commit):
            own = hub.fetch(model_name, commit, needs_weights=False)
            return str(self._completed(model_name, own, self._converted(model_name, commit, own)))
        own = hub.fetch(model_name, commit, needs_weights=needs_weights)
        return str(self._completed(model_name, own))

    def about(self, config: QLoRAConfig) -> Mapping[str, Any]:
        """The model's `config.json`; empty where it cannot be read."""
        if config.model_name == EMBEDDED_MODEL:
            return embedded.DESCRIPTION
        name, revision = config.model_name, config.model_revision
        return _described(Path(self.resolve(name, revision=revision, needs_weights=False)))

    def folder(self, config: QLoRAConfig) -> Path:
        """The folder with everything of a model, fetched where it is not here.

        Raises:
            ModelError: See `resolve`, or the copy that the settings name is of another model.
            DiskFullError: The embedded model, or a folder of links, cannot be written.
        """
        name, revision, copy = config.model_name, config.model_revision, FourBitCopy.of(config)
        own = Path(self.resolve(name, revision=revision, needs_weights=copy is None))
        if copy is None:
            return own
        about = hub.fetch_config(copy.name, copy.revision)
        refuse_other(about, copy.name, own=_described(own))
        self._on_progress(f"Fetching {copy.name}", 0.0)
        fetched = hub.fetch(copy.name, copy.revision)
        return copy.joined(fetched, own=own, folder=self._models_dir / COPIES)

    def is_local(self, model_name: str) -> bool:
        """Whether a model is used from this machine, without asking the hub."""
        entry = catalog.entry_for(model_name)
        return (
            model_name == EMBEDDED_MODEL
            or bool(entry and entry.folder)
            or on_disk.folder_of(self._models_dir, model_name) is not None
        )

    def _is_pickled(self, name: str, commit: str) -> bool:
        """Whether the weights of a hub model have to be converted, or were.

        Raises:
            ModelError, ConfigError: See `pickled.pickles_of`.
        """
        if conversion.is_converted(self._models_dir, name, commit):
            return True
        if (name, commit) not in self._pickles:
            self._pickles[name, commit] = pickled.pickles_of(name, commit)
        return bool(self._pickles[name, commit])

    def _converted(self, name: str, commit: str, own: Path) -> Path:
        return conversion.convert(
            name,
            commit,
            self._pickles.get((name, commit), {}),
            described=own,
            models_dir=self._models_dir,
            on_progress=self._on_progress,
        )

    def _completed(self, name: str, own: Path, weights: Path | None = None) -> Path:
        """A model's folder with what it lacks by itself: converted weights, a chat template."""
        template = missing_template(name, own)
        if weights is None and not template:
            return own
        files = [one for one in own.iterdir() if one.is_file() and one.name != conversion.INDEX]
        links = {one.name: one for one in (*files, *(weights.iterdir() if weights else ()))}
        kind = "whole" if any(one.endswith(".safetensors") for one in links) else "described"
        return linked_folder(
            self._models_dir / COPIES / f"{slug(name, 'model')}-{own.name[:12]}-{kind}",
            links=links,
            texts={CHAT_TEMPLATE: template} if template else {},
        )

    def _revision_of(self, config: QLoRAConfig) -> str:
        """The commit of a hub model; asked for once, so that all files are of the same."""
        name = config.model_name
        if config.model_revision:
            return config.model_revision
        if name not in self._revisions:
            self._revisions[name] = hub.newest_revision(name)
        return self._revisions[name]


def _local(entry: CatalogEntry) -> str:
    if not Path(entry.folder).is_dir():
        raise ModelError(
            f"The folder of {entry.name}, {entry.folder}, is not there.",
            hint=f"Put the model's files there, or choose {EMBEDDED_MODEL}.",
        )
    return entry.folder


def _described(source: Path) -> Mapping[str, Any]:
    try:
        about: Any = json.loads((source / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}

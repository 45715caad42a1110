"""FourBitCopy: weights that somebody has quantised already, a third of the download.

A copy gives weights alone. Name, description, tokenizer and chat template stay those of the model
that the user chose, whose 16-bit weights merging an adapter needs. A copy was made of these by the
quantisation that is used here (nf4 in blocks of 64, scales in 8 bits), so that the same comes of
it; one that says otherwise of itself is not used. Whether its numbers are those of the model cannot
be seen without both, so a run records which it used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from medqlora.config.qlora import TARGET_MODULES, QLoRAConfig
from medqlora.errors import ModelError
from medqlora.models import catalog, hub
from medqlora.models.language_part import names_picture_module
from medqlora.models.linked_folder import linked_folder
from medqlora.models.memory_forecast import ModelShape, forecast, shape_of
from medqlora.persistence.workspace import slug

OWN = "own"
"""The model's own weights, in `QLoRAConfig.base_weights`."""

COPIES = ".copies"
"""Folder beside the models in which folders of links lie."""

_CONFIG, _QUANTISED = "config.json", "quantization_config"

STORED_AS = {
    "quant_method": "bitsandbytes",
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
    "bnb_4bit_quant_storage": "uint8",
}
"""What the description of a copy has to say; what it computes in is chosen here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FourBitCopy:
    """A copy on the hub.

    Attributes:
        name: Its id.
        revision: Its commit.
    """

    name: str
    revision: str

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}"

    @classmethod
    def of(cls, config: QLoRAConfig) -> Self | None:
        """The copy that the settings name, or None where the model's own weights are meant."""
        name, _, revision = config.base_weights.partition("@")
        return cls(name=name, revision=revision) if revision else None

    def joined(self, fetched: Path, *, own: Path, folder: Path) -> Path:
        """A folder of links in which the model's own files lie with the weights of its copy.

        Args:
            fetched: The copy's files.
            own: The model's own files.
            folder: Where such folders lie; one that is there and right is left alone.

        Raises:
            DiskFullError: No space is left.
            StorageUnavailableError: The folder cannot be written.
        """
        target = folder / f"{slug(self.name, 'copy')}-{own.name[:12]}-{self.revision[:12]}"
        files = (*_files(own, weights=False), *_files(fetched, weights=True))
        stored = {_QUANTISED: _read(fetched / _CONFIG)[_QUANTISED]}
        about = {**_read(own / _CONFIG), **stored}
        return linked_folder(
            target,
            links={file.name: file for file in files},
            texts={_CONFIG: json.dumps(about, ensure_ascii=False, indent=1)},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsChoice:
    """Which weights a run uses, with the reason.

    Attributes:
        config: The settings with `base_weights` decided.
        reason: A sentence for the user.
        is_fallback: There is a copy, but it could not be had.
    """

    config: QLoRAConfig
    reason: str
    is_fallback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedDownload:
    """What training a model fetches.

    Attributes:
        gib: How much, 0 where it is here.
        message: A sentence for the user; empty for a model that is not from the hub.
    """

    gib: float
    message: str


@dataclass(frozen=True, slots=True)
class _Reason:
    """Why a model's own weights are used."""

    applies: Callable[[QLoRAConfig], bool]
    text: str


_REASONS = (
    _Reason(lambda config: not copy_of(config.model_name), "no 4-bit copy of it is listed"),
    _Reason(
        lambda config: config.quantization != "nf4" or not config.double_quantization,
        "4-bit copies are nf4 with double quantisation, and other settings are chosen",
    ),
    _Reason(
        lambda config: config.num_processes > 1 and config.shard_weights != "no",
        "a model that may be shared out over several GPUs is quantised here",
    ),
    _Reason(
        lambda config: hub.has_weights(config.model_name, config.model_revision),
        "they are on this machine already",
    ),
)


def copy_of(model_name: str) -> str:
    """The id of the copy of a model, empty where none is listed."""
    entry = catalog.entry_for(model_name)
    return entry.four_bit_copy if entry else ""


def choose_weights(config: QLoRAConfig) -> WeightsChoice:
    """The weights for a hub model whose commit the settings name; asks the hub for its copy.

    Raises:
        ModelError: The hub cannot tell what the model is.
    """
    name = config.model_name
    if config.base_weights:
        return WeightsChoice(config=config, reason="The settings say which weights are used.")
    own = config.changed(base_weights=OWN)
    reason = _why_own(config)
    if reason:
        return WeightsChoice(config=own, reason=f"The 16-bit weights of {name} are used: {reason}.")
    described = hub.fetch_config(name, config.model_revision)
    try:
        found = FourBitCopy(name=copy_of(name), revision=hub.newest_revision(copy_of(name)))
        refuse_other(hub.fetch_config(found.name, found.revision), found.name, own=described)
    except ModelError as error:
        return WeightsChoice(
            config=own,
            reason=f"The 16-bit weights of {name} are used, three times the download, because its "
            f"4-bit copy could not be: {error.message}",
            is_fallback=True,
        )
    return WeightsChoice(
        config=config.changed(base_weights=str(found)),
        reason=f"The weights of {name} come from its 4-bit copy {found.name}, a third of the "
        "download; everything else is the model's own.",
    )


def expected_download(config: QLoRAConfig, shape: ModelShape) -> ExpectedDownload:
    """What training a hub model will fetch, as far as this machine can tell without asking."""
    kept = config.model_revision or hub.last_kept(config.model_name)
    if hub.has_weights(config.model_name, kept):
        return ExpectedDownload(gib=0.0, message="Its weights are on this machine.")
    full = _fetched_gib(shape, config.changed(quantization="none"))
    reason = _why_own(config.changed(model_revision=kept))
    if reason or config.base_weights == OWN:
        why = f"; {reason}" if copy_of(config.model_name) and reason else ""
        return ExpectedDownload(
            gib=full, message=f"Training fetches about {full:.1f} GiB, its 16-bit weights{why}."
        )
    name = copy_of(config.model_name)
    if hub.has_weights(name, hub.last_kept(name)):
        return ExpectedDownload(gib=0.0, message=f"Its 4-bit copy {name} is on this machine.")
    gib = _fetched_gib(shape, config)
    return ExpectedDownload(
        gib=gib,
        message=f"Training fetches about {gib:.1f} GiB, the 4-bit copy {name}; the 16-bit weights "
        f"are {full:.1f} GiB.",
    )


def refuse_other(about: Mapping[str, Any], name: str, *, own: Mapping[str, Any]) -> None:
    """Refuses a copy that is stored otherwise than here, or is of another model.

    Args:
        about: The copy's `config.json`.
        name: Its id.
        own: The `config.json` of the model that the user chose.

    Raises:
        ModelError: It is.
    """
    stored = about.get(_QUANTISED) or {}
    if any(stored.get(key) != value for key, value in STORED_AS.items()):
        problem = "is not stored as nf4 with double quantisation"
    elif any(_names_layer(str(one)) for one in stored.get("llm_int8_skip_modules") or ()):
        problem = "keeps some of its layers in 16 bits"
    elif (about.get("model_type"), shape_of(about)) != (own.get("model_type"), shape_of(own)):
        problem = "is of another model"
    else:
        return
    raise ModelError(
        f"{name} {problem}.", hint="Set base_weights to own, which takes the 16-bit weights."
    )


def _files(folder: Path, *, weights: bool) -> Iterator[Path]:
    """The files of the weights with their index, or all others but the description."""
    for file in folder.iterdir():
        is_weights = ".safetensors" in file.name
        if is_weights == weights and file.name != _CONFIG:
            yield file


def _read(file: Path) -> Mapping[str, Any]:
    about: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return about


def _why_own(config: QLoRAConfig) -> str:
    return next((one.text for one in _REASONS if one.applies(config)), "")


def _names_layer(skipped: str) -> bool:
    parts = skipped.split(".")
    is_layer = "layers" in parts or parts[-1] in TARGET_MODULES
    return is_layer and not names_picture_module(skipped)


def _fetched_gib(shape: ModelShape, config: QLoRAConfig) -> float:
    # In files embeddings have 16 bits, as Unsloth keeps them in memory; so has what reads pictures.
    text = forecast(shape, config, engine="unsloth").weights_gib
    return text + 2 * shape.picture_parameters / 2**30

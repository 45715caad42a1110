"""Which models of the hub have pickled weights, and whether this installation converts them.

A pickle may run code when it is read. Those of the catalogue's models are converted once, as
`unpickling` says; of any other model only where whoever runs the app says so. Conversions that the
hub offers as pull requests (`refs/pr/...`) are not used: anybody can open one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from medqlora.config.qlora import EMBEDDED_MODEL
from medqlora.errors import ConfigError, ModelError
from medqlora.models import catalog, hub
from medqlora.models.conversion import INDEX, ONE_FILE

VARIABLE: Final = "MEDQLORA_PICKLED_WEIGHTS"
"""The environment's way to say whose pickles are converted."""

LISTED, ANY, NEVER = "listed", "any", "never"

ABOUT: Final = (
    "Its weights are published as pickles, which could run code: they are converted once to "
    "safetensors, which cannot, by a process without network, tokens or other programs."
)
"""What the user is told before."""

_PART: Final = re.compile(r"pytorch_model-\d{5}-of-\d{5}\.bin")
_OTHER_WEIGHTS: Final = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf", ".onnx")


def is_listed(model_name: str) -> bool:
    """Whether the catalogue says that a model's weights are pickles."""
    entry = catalog.entry_for(model_name)
    return entry is not None and entry.is_pickled


def pickles_of(model_name: str, revision: str) -> Mapping[str, int]:
    """The files of weights that have to be converted, with their sizes in bytes.

    Args:
        model_name: The model's id.
        revision: The commit.

    Returns:
        Nothing where the model has safetensors.

    Raises:
        ModelError: They are pickles that this installation does not convert, the model has weights
            in no format that is read here, or the hub cannot be asked.
        ConfigError: See `require_allowed`.
    """
    if hub.has_weights(model_name, revision):
        return {}
    files = hub.files_of(model_name, revision)
    if "config.json" not in files or any(one.endswith(".safetensors") for one in files):
        return {}  # without a description it is refused for that
    parts = [ONE_FILE] if ONE_FILE in files else sorted(filter(_PART.fullmatch, files))
    if not parts or (parts != [ONE_FILE] and INDEX not in files):
        kinds = sorted({end for end in _OTHER_WEIGHTS for one in files if one.endswith(end)})
        found = f"as {', '.join(kinds)} files only" if kinds else "without weights"
        raise ModelError(
            f"{model_name} is published {found}, and not as safetensors.", hint=_way_out()
        )
    require_allowed(model_name)
    return {one: files[one] for one in parts}


def require_allowed(model_name: str) -> None:
    """Refuses a model with pickled weights, unless this installation converts them.

    Raises:
        ModelError: It does not.
        ConfigError: The environment says something that is not understood.
    """
    allowed = os.environ.get(VARIABLE) or LISTED
    if allowed not in (LISTED, ANY, NEVER):
        raise ConfigError(
            f"{VARIABLE} must be {LISTED}, {ANY} or {NEVER}.",
            hint=f"Leave it out to convert the weights of listed models ({LISTED}).",
        )
    if allowed == ANY or (allowed == LISTED and is_listed(model_name)):
        return
    hint = _way_out()
    if allowed == LISTED:
        hint += f" Whoever runs the app can allow it with {VARIABLE}={ANY}."
    raise ModelError(
        f"{model_name} is published as .bin files only, and not as safetensors: pickles, which "
        "could run code when they are read, and are not converted here.",
        hint=hint,
    )


def _way_out() -> str:
    return (
        "Choose a copy of it in safetensors, convert it yourself and put it into the workspace's "
        f"folder models, or choose {EMBEDDED_MODEL}."
    )

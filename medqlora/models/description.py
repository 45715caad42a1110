"""What the small files of a model say of it, and whether it can be asked at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL
from medqlora.errors import ModelError
from medqlora.models import catalog, embedded
from medqlora.models.language_part import PICTURE_ARCHITECTURES

CAUSAL_ENDINGS = ("ForCausalLM", "LMHeadModel")
"""How transformers names the classes of models that continue a text."""

CONFIG = "config.json"


def described(
    model: str | Path | Mapping[str, Any],
) -> tuple[str, Mapping[str, Any] | None, Path | None]:
    """Name, configuration and folder of a model, as far as each is there.

    Raises:
        ModelError: A folder has no description that can be read.
    """
    if isinstance(model, Mapping):
        return str(model.get("_name_or_path") or "This model"), model, None
    folder = Path(model)
    if not folder.is_dir():
        return str(model), None, None
    name = EMBEDDED_MODEL if folder.name == embedded.FOLDER_NAME else folder.name
    try:
        about = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The model {name} could not be loaded: its {CONFIG} is missing or damaged.",
            hint=f"Fetch the model again, or choose {EMBEDDED_MODEL}.",
        ) from error
    return name, about, folder


def not_causal(name: str, about: Mapping[str, Any]) -> list[str]:
    """The problem of a model that does something else than continue a text, if it does."""
    kinds = [str(one) for one in about.get("architectures") or ()]
    if not kinds or any(
        one.endswith(CAUSAL_ENDINGS) or one in PICTURE_ARCHITECTURES for one in kinds
    ):
        return []
    if "text_config" in about and "vision_config" in about:
        return [
            f"{name} also reads pictures ({kinds[0]}); of such models only Gemma 3 and those made "
            "of it, such as MedGemma, can be trained here."
        ]
    return [f"{name} is a {kinds[0]}, which does not continue text and cannot answer questions."]


def without_template(name: str, folder: Path | None) -> list[str]:
    """The problem of a model that cannot be asked questions, if it cannot."""
    entry = catalog.entry_for(name)
    is_brought = entry is not None and bool(entry.brought_template)
    if folder is None or is_brought or has_template(folder):
        return []
    return [
        f"{name} has no chat template, so it cannot be trained on questions and answers; "
        "instruction-tuned models have one."
    ]


def has_template(folder: Path) -> bool:
    """Whether the files of a model say how a conversation is written."""
    templates = ("chat_template.jinja", "chat_template.json")
    if any((folder / one).is_file() for one in templates):
        return True
    try:
        about = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and bool(about.get("chat_template"))

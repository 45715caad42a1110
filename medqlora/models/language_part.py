"""The language part of models that also read pictures: the part that is trained here, on text.

Such a model is a tower that reads pictures, a projector, and a language model that gets what they
make of a picture as if it were words. Text passes through the language model alone, so the other
two are let go once the weights are loaded: they would take memory and do nothing. The names of the
language model's layers stay those that transformers gives them in the whole model, so that an
adapter fits the whole model, and merging leaves the other two as they are.

A kind of model is a row here once a test has trained a small one of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PICTURE_MODULES: Mapping[str, tuple[str, ...]] = {
    "gemma3": ("vision_tower", "multi_modal_projector")
}
"""By `model_type`, the modules that read pictures, beside `language_model`."""

PICTURE_ARCHITECTURES = frozenset({"Gemma3ForConditionalGeneration"})
"""The same models by the names of their classes in transformers."""

LAYERS, LAYERS_BESIDE_PICTURES = "model", "model.language_model"
"""The module with the layers, in a model of text alone and in one that also reads pictures."""

OUTSIDE_LANGUAGE = rf"(?!{LAYERS_BESIDE_PICTURES.replace('.', '[.]')}[.]).*"
"""Names of modules that an adapter leaves alone, for PEFT: towers have layers of the same names."""

_STORED_AS = "language_model.model"
"""What files call `LAYERS_BESIDE_PICTURES`, if they were not written with that name."""

_LEFT_OUT: Mapping[str, Mapping[str, Any]] = {
    "gemma3_text": {
        "vocab_size": 262_208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "tie_word_embeddings": True,
    }
}
"""What transformers takes where a `config.json` does not say it; Gemma 3's leave most of it out."""


def reads_pictures(about: Mapping[str, Any]) -> bool:
    """Whether a `config.json` is of a model that also reads pictures and is known here."""
    return about.get("model_type") in PICTURE_MODULES


def text_part(about: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a `config.json` says of the part that continues text, completed."""
    text = about.get("text_config") or about
    return {**_LEFT_OUT.get(str(text.get("model_type")), {}), **text}


def layers_name(about: Mapping[str, Any]) -> str:
    """Name of the module that holds the layers."""
    return LAYERS_BESIDE_PICTURES if reads_pictures(about) else LAYERS


def module_name(stored: str) -> str:
    """The name in the model of a weight that a file calls `stored`."""
    rest = stored.removeprefix(f"{_STORED_AS}.")
    return stored if rest == stored else f"{LAYERS_BESIDE_PICTURES}.{rest}"


def names_picture_module(place: str) -> bool:
    """Whether a module called `place` is, or is a part of, what reads pictures."""
    parts = set(place.split("."))
    return any(parts & set(names) for names in PICTURE_MODULES.values())


def kept_in_16_bits(about: Mapping[str, Any]) -> list[str] | None:
    """Modules that are not quantised, for bitsandbytes; None where it finds them by itself.

    It quantises towers, which would be work for nothing.
    """
    names = PICTURE_MODULES.get(str(about.get("model_type")))
    return ["lm_head", *(f"{LAYERS}.{one}" for one in names)] if names else None


def picture_parameters(about: Mapping[str, Any]) -> int:
    """Weights that read pictures: a SigLIP tower without its head, and Gemma 3's projector.

    Raises:
        KeyError: A size is missing.
    """
    if not reads_pictures(about):
        return 0
    vision = about["vision_config"]
    width, inner = int(vision["hidden_size"]), int(vision["intermediate_size"])
    patch = int(vision["patch_size"])
    patches = (int(vision["image_size"]) // patch) ** 2
    embeddings = (3 * patch**2 + 1 + patches) * width
    layer = 4 * width * (width + 1) + 2 * width * inner + inner + width + 4 * width
    projector = width * (int(about["text_config"]["hidden_size"]) + 1)
    return embeddings + int(vision["num_hidden_layers"]) * layer + 2 * width + projector


def let_pictures_go(model: Any) -> None:
    """Takes what reads pictures out of a loaded model; of another model nothing."""
    for name in PICTURE_MODULES.get(model.config.model_type, ()):
        setattr(model.model, name, None)

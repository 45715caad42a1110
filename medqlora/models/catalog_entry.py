"""A row of the catalogue, and how rows are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medqlora.models.memory_forecast import ModelShape


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """What is known of a base model.

    Attributes:
        name: What the user chooses; for a hub model its id. Its weights have 16 bits, which merging
            an adapter into them needs.
        billion_parameters: Size in billions of parameters, as its maker gives it.
        shape: Its layers; once a model is here, its own `config.json` counts.
        licence: Licence of the weights.
        needs_gpu: Whether training it without a GPU is out of question.
        download_gib: Size of its 16-bit weights on the hub, 0 for a model that ships as a package.
        note: What it is for and where its limits are, one sentence for the user.
        original: Its maker's own repository on the hub, which may ask for an account; empty where
            `name` is it.
        four_bit_copy: A copy that is quantised already, about a third of the download, which needs
            no account; empty where there is none.
        template: Chat template, as Unsloth calls it.
        brought_template: That of `chat_templates` which is used where the model has none.
        is_pickled: Whether its maker publishes its weights as pickles only.
        model_type: What its `config.json` says it is, where Unsloth has no kernels for it.
        folder: Where its files lie on this machine, empty for one from a package or the hub.
    """

    name: str
    billion_parameters: float
    shape: ModelShape
    licence: str
    needs_gpu: bool
    download_gib: float
    note: str
    original: str = ""
    four_bit_copy: str = ""
    template: str = ""
    brought_template: str = ""
    is_pickled: bool = False
    model_type: str = ""
    folder: str = ""


def from_hub(
    name: str, billion: float, shape: ModelShape, licence: str, note: str, **others: Any
) -> CatalogEntry:
    """A model of the hub, with weights in 16 bits."""
    return CatalogEntry(
        name=name,
        billion_parameters=billion,
        shape=shape,
        licence=licence,
        needs_gpu=True,
        download_gib=round(2e9 * billion / 2**30, 1),
        note=note,
        **others,
    )


def copied_by_unsloth(
    name: str,
    original: str,
    billion: float,
    shape: ModelShape,
    licence: str,
    template: str,
    note: str,
    **others: Any,
) -> CatalogEntry:
    """A model of the hub as Unsloth copied it."""
    copy = f"unsloth/{name}-bnb-4bit"
    others |= {"original": original, "four_bit_copy": copy, "template": template}
    return from_hub(f"unsloth/{name}", billion, shape, licence, note, **others)

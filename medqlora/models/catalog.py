"""The base models that are known by name.

A new one is a new row; an id that is not here is tried on the hub as it is. Names of the hub are
those of copies that need no account, as Unsloth 2026.10.9 lists them (`unsloth/models/mapper.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from medqlora.config.qlora import EMBEDDED_MODEL
from medqlora.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """What is known of a base model.

    Attributes:
        name: What the user chooses; for a hub model its id.
        billion_parameters: Size in billions of parameters.
        licence: Licence of the weights.
        needs_gpu: Whether training it without a GPU is out of question.
        download_gib: What is fetched from the hub, 0 for a model that ships as a package.
        note: One sentence for the user.
        folder: Where its files lie on this machine, empty for one from a package or the hub.
    """

    name: str
    billion_parameters: float
    licence: str
    needs_gpu: bool
    download_gib: float
    note: str
    folder: str = ""


CATALOG: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        name=EMBEDDED_MODEL,
        billion_parameters=0.135,
        licence="Apache-2.0",
        needs_gpu=False,
        download_gib=0.0,
        note="Ships with the app: for learning how it works, not for good answers.",
    ),
    CatalogEntry(
        name="unsloth/Llama-3.2-1B-Instruct",
        billion_parameters=1.24,
        licence="Llama 3.2 Community License",
        needs_gpu=True,
        download_gib=2.5,
        note="Fits every card; from the hub.",
    ),
    CatalogEntry(
        name="unsloth/Llama-3.2-3B-Instruct",
        billion_parameters=3.21,
        licence="Llama 3.2 Community License",
        needs_gpu=True,
        download_gib=6.4,
        note="A good start on a free T4; from the hub.",
    ),
    CatalogEntry(
        name="unsloth/Meta-Llama-3.1-8B-Instruct",
        billion_parameters=8.03,
        licence="Llama 3.1 Community License",
        needs_gpu=True,
        download_gib=16.1,
        note="The usual size for medical fine-tunes; from the hub.",
    ),
    CatalogEntry(
        name="unsloth/Qwen3-1.7B",
        billion_parameters=1.72,
        licence="Apache-2.0",
        needs_gpu=True,
        download_gib=3.4,
        note="Fits every card and thinks aloud before it answers; from the hub.",
    ),
    CatalogEntry(
        name="unsloth/Qwen3-4B",
        billion_parameters=4.02,
        licence="Apache-2.0",
        needs_gpu=True,
        download_gib=8.0,
        note="Strong for its size, fits a T4, thinks aloud before it answers; from the hub.",
    ),
    CatalogEntry(
        name="unsloth/Qwen3-8B",
        billion_parameters=8.19,
        licence="Apache-2.0",
        needs_gpu=True,
        download_gib=16.4,
        note="Fits a T4 with short entries; thinks aloud before it answers; from the hub.",
    ),
    CatalogEntry(
        name="unsloth/Qwen3-14B",
        billion_parameters=14.77,
        licence="Apache-2.0",
        needs_gpu=True,
        download_gib=29.5,
        note="For cards from 24 GiB on; thinks aloud before it answers; from the hub.",
    ),
    CatalogEntry(
        name="unsloth/mistral-7b-instruct-v0.3",
        billion_parameters=7.25,
        licence="Apache-2.0",
        needs_gpu=True,
        download_gib=14.5,
        note="An older model that many medical ones were made of; from the hub.",
    ),
    CatalogEntry(
        name="unsloth/phi-4",
        billion_parameters=14.66,
        licence="MIT",
        needs_gpu=True,
        download_gib=29.3,
        note="For cards from 24 GiB on; from the hub.",
    ),
    CatalogEntry(
        name="unsloth/gemma-3-1b-it",
        billion_parameters=1.0,
        licence="Gemma Terms of Use",
        needs_gpu=True,
        download_gib=2.0,
        note="Fits every card; from the hub.",
    ),
    CatalogEntry(
        name="unsloth/DeepSeek-R1-Distill-Qwen-1.5B",
        billion_parameters=1.78,
        licence="MIT",
        needs_gpu=True,
        download_gib=3.6,
        note="Fits every card; its answers begin with its reasoning; from the hub.",
    ),
    CatalogEntry(
        name="unsloth/DeepSeek-R1-Distill-Llama-8B",
        billion_parameters=8.03,
        licence="MIT, and the Llama 3.1 Community License",
        needs_gpu=True,
        download_gib=16.1,
        note="Fits a T4 with short entries; its answers begin with its reasoning; from the hub.",
    ),
)


def entry_for(model_name: str) -> CatalogEntry | None:
    """The row of a model, or None for an id that is not in the table."""
    return next((one for one in CATALOG if one.name == model_name), None)


def check_id(model_name: str) -> None:
    """Refuses what cannot be a model's name before anything touches a disk or a network.

    Raises:
        ModelError: The name is not of the form `owner/name`, nor in the catalogue.
    """
    if entry_for(model_name):
        return
    parts = model_name.split("/")
    is_id = len(parts) == 2 and all(
        part
        and not part.startswith(".")
        and part.replace("-", "").replace("_", "").replace(".", "").isalnum()
        for part in parts
    )
    if not is_id:
        raise ModelError(
            f"{model_name[:80]!r} is not the name of a model.",
            hint=f"Use {EMBEDDED_MODEL}, or a hub id of the form owner/name.",
        )

"""The base models that are known by name.

A new one is a new row; an id that is not here is tried on the hub as it is. Names of the hub are
those of copies that need no account, with their originals and 4-bit copies as Unsloth 2026.10.9
lists them (`unsloth/models/mapper.py`); templates are those of its `ollama_template_mappers.py`,
DeepSeek's that of its own tokenizer. Shapes let memory and download be known before anything is
fetched; they were not read from the hub, and a test holds them to each maker's number of weights.
On which card a model fits is not written here but computed (`outlook.smallest_card`).
"""

from __future__ import annotations

from dataclasses import dataclass

from medqlora.config.qlora import EMBEDDED_MODEL
from medqlora.errors import ModelError
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
    model_type: str = ""
    folder: str = ""


def _copy(
    name: str,
    original: str,
    billion_parameters: float,
    shape: ModelShape,
    licence: str,
    template: str,
    note: str,
    *,
    model_type: str = "",
) -> CatalogEntry:
    """A model of the hub as Unsloth copied it."""
    return CatalogEntry(
        name=f"unsloth/{name}",
        billion_parameters=billion_parameters,
        shape=shape,
        licence=licence,
        needs_gpu=True,
        download_gib=round(2e9 * billion_parameters / 2**30, 1),
        note=note,
        original=original,
        four_bit_copy=f"unsloth/{name}-bnb-4bit",
        template=template,
        model_type=model_type,
    )


_LLAMA_32, _LLAMA_31 = "Llama 3.2 Community License", "Llama 3.1 Community License"
_LLAMA_8B = ModelShape.of(4096, 14_336, 32, (32, 8, 128), 128_256, tied=False)
_QWEN_4B = ModelShape.of(2560, 9728, 36, (32, 8, 128), 151_936, tied=True)
_GEMMA_4B = ModelShape.of(2560, 10_240, 34, (8, 4, 256), 262_208, tied=True, pictures=419_816_304)
_ALOUD = "thinks aloud before it answers"
_PICTURES = "it also reads pictures, is trained on text here, and with the slower engine"

CATALOG: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        name=EMBEDDED_MODEL,
        billion_parameters=0.135,
        shape=ModelShape.of(576, 1536, 30, (9, 3, 64), 49_152, tied=True),
        licence="Apache-2.0",
        needs_gpu=False,
        download_gib=0.0,
        note="Ships with the app: for learning how it works, not for good answers.",
        original="HuggingFaceTB/SmolLM2-135M-Instruct",
        template="chatml",
    ),
    _copy(
        "Llama-3.2-1B-Instruct",
        "meta-llama/Llama-3.2-1B-Instruct",
        1.24,
        ModelShape.of(2048, 8192, 16, (32, 8, 64), 128_256, tied=True),
        _LLAMA_32,
        "llama-3.2",
        "Small and quick; knows little medicine.",
    ),
    _copy(
        "Llama-3.2-3B-Instruct",
        "meta-llama/Llama-3.2-3B-Instruct",
        3.21,
        ModelShape.of(3072, 8192, 28, (24, 8, 128), 128_256, tied=True),
        _LLAMA_32,
        "llama-3.2",
        "A good start on a free T4.",
    ),
    _copy(
        "Meta-Llama-3.1-8B-Instruct",
        "meta-llama/Meta-Llama-3.1-8B-Instruct",
        8.03,
        _LLAMA_8B,
        _LLAMA_31,
        "llama-3.1",
        "The usual size for medical fine-tunes.",
    ),
    _copy(
        "medgemma-4b-it",
        "google/medgemma-4b-it",
        4.3,
        _GEMMA_4B,
        "Health AI Developer Foundations terms of use",
        "gemma-3",
        f"Made for medicine by Google; {_PICTURES}.",
        model_type="gemma3",
    ),
    _copy(
        "medgemma-27b-text-it",
        "google/medgemma-27b-text-it",
        27.0,
        ModelShape.of(5376, 21_504, 62, (32, 16, 128), 262_144, tied=True),
        "Health AI Developer Foundations terms of use",
        "gemma-3",
        "Made for medical text by Google; large, and trained with the slower engine.",
        model_type="gemma3_text",
    ),
    _copy(
        "Qwen3-1.7B",
        "Qwen/Qwen3-1.7B",
        1.72,
        ModelShape.of(2048, 6144, 28, (16, 8, 128), 151_936, tied=True),
        "Apache-2.0",
        "qwen3",
        f"Small; {_ALOUD}.",
    ),
    _copy(
        "Qwen3-4B",
        "Qwen/Qwen3-4B",
        4.02,
        _QWEN_4B,
        "Apache-2.0",
        "qwen3",
        f"Strong for its size; {_ALOUD}.",
    ),
    _copy(
        "Qwen3-4B-Instruct-2507",
        "Qwen/Qwen3-4B-Instruct-2507",
        4.02,
        _QWEN_4B,
        "Apache-2.0",
        "qwen3-instruct",
        "Strong for its size; answers at once.",
    ),
    _copy(
        "Qwen3-8B",
        "Qwen/Qwen3-8B",
        8.19,
        ModelShape.of(4096, 12_288, 36, (32, 8, 128), 151_936, tied=False),
        "Apache-2.0",
        "qwen3",
        f"A general model that {_ALOUD}.",
    ),
    _copy(
        "Qwen3-14B",
        "Qwen/Qwen3-14B",
        14.77,
        ModelShape.of(5120, 17_408, 40, (40, 8, 128), 151_936, tied=False),
        "Apache-2.0",
        "qwen3",
        f"A large general model that {_ALOUD}.",
    ),
    _copy(
        "mistral-7b-instruct-v0.3",
        "mistralai/Mistral-7B-Instruct-v0.3",
        7.25,
        ModelShape.of(4096, 14_336, 32, (32, 8, 128), 32_768, tied=False),
        "Apache-2.0",
        "mistral-v03",
        "An older model that many medical ones were made of.",
    ),
    _copy(
        "phi-4",
        "microsoft/phi-4",
        14.66,
        ModelShape.of(5120, 17_920, 40, (40, 10, 128), 100_352, tied=False),
        "MIT",
        "phi-4",
        "A large general model that answers at once.",
    ),
    _copy(
        "gemma-3-1b-it",
        "google/gemma-3-1b-it",
        1.0,
        ModelShape.of(1152, 6912, 26, (4, 1, 256), 262_144, tied=True),
        "Gemma Terms of Use",
        "gemma-3",
        "Small; trained with the slower engine.",
        model_type="gemma3_text",
    ),
    _copy(
        "gemma-3-4b-it",
        "google/gemma-3-4b-it",
        4.3,
        _GEMMA_4B,
        "Gemma Terms of Use",
        "gemma-3",
        f"A general model; {_PICTURES}.",
        model_type="gemma3",
    ),
    _copy(
        "gemma-3-12b-it",
        "google/gemma-3-12b-it",
        12.19,
        ModelShape.of(3840, 15_360, 48, (16, 8, 256), 262_208, tied=True, pictures=421_290_864),
        "Gemma Terms of Use",
        "gemma-3",
        f"A large general model; {_PICTURES}.",
        model_type="gemma3",
    ),
    _copy(
        "DeepSeek-R1-Distill-Qwen-1.5B",
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
        1.78,
        ModelShape.of(1536, 8960, 28, (12, 2, 128), 151_936, tied=False),
        "MIT",
        "deepseek-r1",
        f"Small; {_ALOUD}, at length.",
    ),
    _copy(
        "DeepSeek-R1-Distill-Llama-8B",
        "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
        8.03,
        _LLAMA_8B,
        f"MIT, and the {_LLAMA_31}",
        "deepseek-r1",
        f"Reasons well; {_ALOUD}, at length.",
    ),
)

_PICKLED = (
    "is published as a pickle only, which may run code when it is read, and not as safetensors"
)
UNUSABLE = {
    "BioMistral/BioMistral-7B": _PICKLED,
    "aaditya/Llama3-OpenBioLLM-8B": _PICKLED,
    "epfl-llm/meditron-7b": "continues text and was not taught to answer, so it has no chat "
    "template",
}
"""Medical models that people ask for and that cannot be trained as their makers publish them (the
hub's pages of 2024 to 2026); a copy in the workspace is judged by its own files."""


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

"""The base models that are known by name.

A new one is a new row; an id that is not here is tried on the hub as it is. Names of the hub are
those of copies that need no account, with their originals and 4-bit copies as Unsloth 2026.10.9
lists them (`unsloth/models/mapper.py`); templates are those of its `ollama_template_mappers.py`,
DeepSeek's that of its own tokenizer. Shapes let memory and download be known before anything is
fetched; they were not read from the hub, and a test holds them to each maker's number of weights.
On which card a model fits is not written here but computed (`outlook.smallest_card`).
"""

from __future__ import annotations

from medqlora.config.qlora import EMBEDDED_MODEL
from medqlora.errors import ModelError
from medqlora.models.catalog_entry import CatalogEntry, copied_by_unsloth, from_hub
from medqlora.models.memory_forecast import ModelShape

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
    copied_by_unsloth(
        "Llama-3.2-1B-Instruct",
        "meta-llama/Llama-3.2-1B-Instruct",
        1.24,
        ModelShape.of(2048, 8192, 16, (32, 8, 64), 128_256, tied=True),
        _LLAMA_32,
        "llama-3.2",
        "Small and quick; knows little medicine.",
    ),
    copied_by_unsloth(
        "Llama-3.2-3B-Instruct",
        "meta-llama/Llama-3.2-3B-Instruct",
        3.21,
        ModelShape.of(3072, 8192, 28, (24, 8, 128), 128_256, tied=True),
        _LLAMA_32,
        "llama-3.2",
        "A good start on a free T4.",
    ),
    copied_by_unsloth(
        "Meta-Llama-3.1-8B-Instruct",
        "meta-llama/Meta-Llama-3.1-8B-Instruct",
        8.03,
        _LLAMA_8B,
        _LLAMA_31,
        "llama-3.1",
        "The usual size for medical fine-tunes.",
    ),
    copied_by_unsloth(
        "medgemma-4b-it",
        "google/medgemma-4b-it",
        4.3,
        _GEMMA_4B,
        "Health AI Developer Foundations terms of use",
        "gemma-3",
        f"Made for medicine by Google; {_PICTURES}.",
        model_type="gemma3",
    ),
    copied_by_unsloth(
        "medgemma-27b-text-it",
        "google/medgemma-27b-text-it",
        27.0,
        ModelShape.of(5376, 21_504, 62, (32, 16, 128), 262_144, tied=True),
        "Health AI Developer Foundations terms of use",
        "gemma-3",
        "Made for medical text by Google; large, and trained with the slower engine.",
        model_type="gemma3_text",
    ),
    copied_by_unsloth(
        "Qwen3-1.7B",
        "Qwen/Qwen3-1.7B",
        1.72,
        ModelShape.of(2048, 6144, 28, (16, 8, 128), 151_936, tied=True),
        "Apache-2.0",
        "qwen3",
        f"Small; {_ALOUD}.",
    ),
    copied_by_unsloth(
        "Qwen3-4B",
        "Qwen/Qwen3-4B",
        4.02,
        _QWEN_4B,
        "Apache-2.0",
        "qwen3",
        f"Strong for its size; {_ALOUD}.",
    ),
    copied_by_unsloth(
        "Qwen3-4B-Instruct-2507",
        "Qwen/Qwen3-4B-Instruct-2507",
        4.02,
        _QWEN_4B,
        "Apache-2.0",
        "qwen3-instruct",
        "Strong for its size; answers at once.",
    ),
    copied_by_unsloth(
        "Qwen3-8B",
        "Qwen/Qwen3-8B",
        8.19,
        ModelShape.of(4096, 12_288, 36, (32, 8, 128), 151_936, tied=False),
        "Apache-2.0",
        "qwen3",
        f"A general model that {_ALOUD}.",
    ),
    copied_by_unsloth(
        "Qwen3-14B",
        "Qwen/Qwen3-14B",
        14.77,
        ModelShape.of(5120, 17_408, 40, (40, 8, 128), 151_936, tied=False),
        "Apache-2.0",
        "qwen3",
        f"A large general model that {_ALOUD}.",
    ),
    copied_by_unsloth(
        "mistral-7b-instruct-v0.3",
        "mistralai/Mistral-7B-Instruct-v0.3",
        7.25,
        ModelShape.of(4096, 14_336, 32, (32, 8, 128), 32_768, tied=False),
        "Apache-2.0",
        "mistral-v03",
        "An older model that many medical ones were made of.",
    ),
    copied_by_unsloth(
        "phi-4",
        "microsoft/phi-4",
        14.66,
        ModelShape.of(5120, 17_920, 40, (40, 10, 128), 100_352, tied=False),
        "MIT",
        "phi-4",
        "A large general model that answers at once.",
    ),
    copied_by_unsloth(
        "gemma-3-1b-it",
        "google/gemma-3-1b-it",
        1.0,
        ModelShape.of(1152, 6912, 26, (4, 1, 256), 262_144, tied=True),
        "Gemma Terms of Use",
        "gemma-3",
        "Small; trained with the slower engine.",
        model_type="gemma3_text",
    ),
    copied_by_unsloth(
        "gemma-3-4b-it",
        "google/gemma-3-4b-it",
        4.3,
        _GEMMA_4B,
        "Gemma Terms of Use",
        "gemma-3",
        f"A general model; {_PICTURES}.",
        model_type="gemma3",
    ),
    copied_by_unsloth(
        "gemma-3-12b-it",
        "google/gemma-3-12b-it",
        12.19,
        ModelShape.of(3840, 15_360, 48, (16, 8, 256), 262_208, tied=True, pictures=421_290_864),
        "Gemma Terms of Use",
        "gemma-3",
        f"A large general model; {_PICTURES}.",
        model_type="gemma3",
    ),
    copied_by_unsloth(
        "DeepSeek-R1-Distill-Qwen-1.5B",
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
        1.78,
        ModelShape.of(1536, 8960, 28, (12, 2, 128), 151_936, tied=False),
        "MIT",
        "deepseek-r1",
        f"Small; {_ALOUD}, at length.",
    ),
    copied_by_unsloth(
        "DeepSeek-R1-Distill-Llama-8B",
        "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
        8.03,
        _LLAMA_8B,
        f"MIT, and the {_LLAMA_31}",
        "deepseek-r1",
        f"Reasons well; {_ALOUD}, at length.",
    ),
    from_hub(
        "BioMistral/BioMistral-7B",
        7.24,
        ModelShape.of(4096, 14_336, 32, (32, 8, 128), 32_000, tied=False),
        "Apache-2.0",
        "Mistral 7B that read on in PubMed Central; of 2024, and takes no system prompt.",
        is_pickled=True,
    ),
    from_hub(
        "aaditya/Llama3-OpenBioLLM-8B",
        8.03,
        _LLAMA_8B,
        "Llama 3 Community License",
        "Llama 3 8B fine-tuned on medical questions in 2024.",
        brought_template="llama-3",
        is_pickled=True,
    ),
    from_hub(
        "epfl-llm/meditron-7b",
        6.74,
        ModelShape.of(4096, 11_008, 32, (32, 32, 128), 32_017, tied=False),
        "Llama 2 Community License",
        "Llama 2 7B that read on in PubMed and guidelines: continues text of up to 2,048 tokens, "
        "was never taught to answer, and may ask for an account.",
        brought_template="question-answer",
        is_pickled=True,
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

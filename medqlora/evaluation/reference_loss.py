"""How expected a reference answer is to a model: the loss over its tokens, as training measures it.

Its exponential is the perplexity of the reference. It needs no answer of the model, so it tells of
learning where wordings differ.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from medqlora.data.tokenizer import IGNORED_LABEL, EncodedEntry, MedicalTokenizer
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.errors import ModelError
from medqlora.models.generation import carries_adapters, context_length


def reference_losses(
    model: Any, tokenizer: Any, entry: MedicalDataEntry
) -> tuple[float | None, float | None]:
    """Mean loss per answer token in nats, of the base and of the fine-tuned model.

    Both are None without an answer, or where the model's template does not tell it from the prompt.
    An entry that is longer than the model reads is cut at its end.
    """
    if not entry.answer.strip():
        return None, None
    try:
        encoder = MedicalTokenizer(tokenizer, max_seq_length=context_length(model))
        encoded = encoder.encode(entry)
    except ModelError:
        return None, None
    if not encoded.num_trained:
        return None, None
    with model.disable_adapter() if carries_adapters(model) else nullcontext():
        base = _loss(model, encoded)
    return base, _loss(model, encoded)


def _loss(model: Any, encoded: EncodedEntry) -> float:
    import torch

    ids = torch.tensor([encoded.input_ids], device=model.device)
    # Each token is foretold from the one before it.
    wanted = torch.tensor(encoded.labels[1:], device=model.device)
    is_answer = wanted != IGNORED_LABEL
    model.eval()
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[0, :-1][is_answer].float()
        return float(torch.nn.functional.cross_entropy(logits, wanted[is_answer]))

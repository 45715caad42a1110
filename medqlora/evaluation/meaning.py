"""The meaning-based layer of the safety filter: linear heads over a sentence encoder's vectors.

Each head answers one question about a passage (is harm asked for, is this an emergency, is this a
refusal) with a probability, learned from the sentences in `exemplars/`, which were written for
this project. `meaning.json` holds the heads and is made by `meaning_fit`; nothing is learned here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from medqlora.models.encoder import shared_encoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEADS_FILE = Path(__file__).with_name("meaning.json")
MAX_PASSAGES = 200
"""About 20,000 characters; reading more would keep the one who waits for an answer waiting."""
MIN_WORDS = 3
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_WHOLE_CHARS = 1_000
"""A text up to here is also read in one piece: what is asked may be spread over its sentences."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a text: `text[start:end]`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Passages:
    """The pieces of a text that are read for meaning, and how far they reach in it."""

    pieces: tuple[Passage, ...]
    read_to: int


def passages(text: str) -> Passages:
    """The sentences of a text, and the whole where it is short; at most `MAX_PASSAGES`."""
    found: list[Passage] = []
    stripped = text.strip()
    if stripped and len(stripped) <= _WHOLE_CHARS:
        start = text.index(stripped)
        found.append(Passage(stripped, start, start + len(stripped)))
    for match in _SENTENCE.finditer(text):
        sentence = match.group().strip()
        if len(sentence.split()) >= MIN_WORDS and sentence != stripped:
            if len(found) == MAX_PASSAGES:
                return Passages(tuple(found), match.start())
            start = match.start() + match.group().index(sentence)
            found.append(Passage(sentence, start, start + len(sentence)))
    return Passages(tuple(found), len(text))


class Meaning:
    """The heads, and the vectors that they are asked about.

    Args:
        file: The heads, as `meaning_fit` writes them.
    """

    def __init__(self, file: Path = HEADS_FILE) -> None:
        import numpy as np

        stored = json.loads(file.read_text(encoding="utf-8"))
        self._heads = {
            name: (np.array(head["weights"]), float(head["bias"]), float(head["threshold"]))
            for name, head in stored["heads"].items()
        }
        self._group_names: tuple[str, ...] = tuple(stored["groups"])
        self._group_vectors = np.array(list(stored["groups"].values()))

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the heads read, shape (number of texts, 384)."""
        return shared_encoder().encode(texts)

    def likelihood(self, head: str, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probability of `head` for each vector, 0 to 1, above 0.5 where it says yes.

        The head's threshold is moved to 0.5, so that all heads read alike.
        """
        import numpy as np

        weights, bias, threshold = self._heads[head]
        score = vectors @ weights + bias - np.log(threshold / (1 - threshold))
        return np.asarray(1 / (1 + np.exp(-score)), dtype=np.float64)

    def group(self, vector: NDArray[np.float32]) -> str:
        """The group of harmful exemplars that lies nearest to a vector."""
        return self._group_names[int((self._group_vectors @ vector).argmax())]


@cache
def shared_meaning() -> Meaning:
    """The heads of this process, read when first asked for."""
    return Meaning()

"""How many tokens entries have with one model's tokenizer, and what a given length cuts off.

Counting is a worker's; what was counted is two numbers an entry in a file, so that any length can
be asked about at once and without a tokenizer.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medqlora.domain.preparing import LengthReport
from medqlora.errors import ConfigError, PersistenceError
from medqlora.persistence.atomic import translated_os_errors

_NUM_BINS = 24
_KEPT_WHOLE = 0.99


@dataclass(frozen=True, slots=True)
class EntryLengths:
    """Tokens of every entry.

    Attributes:
        prompt: Tokens before the answer, shape (entries,).
        answer: Tokens of the answer with its end mark, shape (entries,).
    """

    prompt: NDArray[np.uint32]
    answer: NDArray[np.uint32]

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> EntryLengths:
        """From pairs of prompt tokens and answer tokens, gone through once."""
        flat = array("I")
        for pair in pairs:
            flat.extend(pair)
        table = np.frombuffer(flat, dtype=np.uint32).reshape(-1, 2)
        return cls(table[:, 0], table[:, 1])

    @classmethod
    def read(cls, path: Path) -> EntryLengths:
        """What `write` wrote.

        Raises:
            PersistenceError: The file is missing or damaged.
        """
        try:
            table = np.fromfile(path, dtype="<u4").reshape(-1, 2)
        except (OSError, ValueError) as error:
            raise PersistenceError(
                "The token counts of this dataset are missing or damaged.",
                hint="Count them again.",
            ) from error
        return cls(table[:, 0], table[:, 1])

    def write(self, path: Path) -> None:
        """Writes both, entry by entry, as little-endian 32-bit numbers.

        Raises:
            DiskFullError: No space is left.
        """
        with translated_os_errors(path.parent):
            np.stack([self.prompt, self.answer], axis=1).astype("<u4").tofile(path)

    def report(self, model_name: str, max_seq_length: int) -> LengthReport:
        """What a longest entry of `max_seq_length` tokens would cut off.

        Raises:
            ConfigError: The length is below 1.
        """
        if max_seq_length < 1:
            raise ConfigError(
                f"The longest entry must have at least 1 token, got {max_seq_length}.",
                hint="512 suits most datasets.",
            )
        prompt, answer = self.prompt.astype(np.int64), self.answer.astype(np.int64)
        whole = prompt + answer
        kept = np.clip(max_seq_length - prompt, 0, answer)
        longest = int(whole.max())
        edges = np.unique(np.linspace(0, longest, _NUM_BINS + 1).round().astype(np.int64))
        counts, _ = np.histogram(whole, bins=edges)
        return LengthReport(
            model_name=model_name,
            max_seq_length=max_seq_length,
            num_entries=len(whole),
            longest=longest,
            edges=tuple(int(edge) for edge in edges[1:]),
            counts=tuple(int(count) for count in counts),
            num_cut=int((whole > max_seq_length).sum()),
            num_without_answer=int((kept == 0).sum()),
            answer_tokens=int(answer.sum()),
            answer_tokens_cut=int((answer - kept).sum()),
            length_for_99=int(np.quantile(whole, _KEPT_WHOLE, method="inverted_cdf")),
        )

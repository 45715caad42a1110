"""ResponseComparator sets two answers side by side: scores, likeness, the words that differ.

It compares wording. Which answer is better for a patient is for a reader (blind review), and
whether a difference over many queries may be claimed is for `statistics`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from medqlora.domain.evaluation import ComparisonResult
from medqlora.evaluation.metrics import SPACELESS, score, token_f1

MAX_COMPARED_WORDS = 4_000

_WORD_AND_SPACE = re.compile(rf"\s+|(?:[{SPACELESS}]|[^\s{SPACELESS}]+)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSpan:
    """A run of words of one answer.

    Attributes:
        text: The words with the white space after them.
        is_shared: Whether the other answer has them at the same place.
    """

    text: str
    is_shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WordDifferences:
    """Both answers cut into runs of shared and own words; the texts of a side join to the answer.

    Attributes:
        base: The base model's answer.
        finetuned: The fine-tuned model's answer.
    """

    base: tuple[WordSpan, ...]
    finetuned: tuple[WordSpan, ...]


class ResponseComparator:
    """Compares the answers of the base and the fine-tuned model."""

    def compare(
        self,
        query: str,
        base_response: str,
        finetuned_response: str,
        reference: str | None = None,
    ) -> ComparisonResult:
        """Scores both answers against the reference, where there is one, and against each other.

        Args:
            query: What was asked.
            base_response: The base model's answer.
            finetuned_response: The fine-tuned model's answer.
            reference: The answer that is known to be good, or None.
        """
        return ComparisonResult(
            query=query,
            base_response=base_response,
            finetuned_response=finetuned_response,
            base_scores={} if reference is None else score(base_response, reference),
            finetuned_scores={} if reference is None else score(finetuned_response, reference),
            similarity=token_f1(base_response, finetuned_response),
            are_identical=base_response == finetuned_response,
        )


def word_differences(base_response: str, *, finetuned_response: str) -> WordDifferences:
    """Marks the words that only one of two answers has, for display.

    Case counts, white space does not. Beyond 4,000 words an answer is marked as different.
    """
    base = _WORD_AND_SPACE.findall(base_response)
    finetuned = _WORD_AND_SPACE.findall(finetuned_response)
    # difflib leaves very frequent words out of its search in long texts (its autojunk), which keeps
    # an answer that repeats itself from taking minutes.
    blocks = SequenceMatcher(a=_compared(base), b=_compared(finetuned)).get_matching_blocks()
    return WordDifferences(
        base=tuple(_spans(base, [(block.a, block.size) for block in blocks])),
        finetuned=tuple(_spans(finetuned, [(block.b, block.size) for block in blocks])),
    )


def _compared(pieces: Sequence[str]) -> list[str]:
    return [piece.strip() for piece in pieces[:MAX_COMPARED_WORDS]]


def _spans(pieces: Sequence[str], shared: Sequence[tuple[int, int]]) -> Iterator[WordSpan]:
    """Cuts `pieces` where a shared run `(start, length)` begins or ends."""
    position = 0
    for start, length in shared:
        for end, is_shared in ((start, False), (start + length, True)):
            if end > position:
                yield WordSpan(text="".join(pieces[position:end]), is_shared=is_shared)
                position = end
    if position < len(pieces):
        yield WordSpan(text="".join(pieces[position:]), is_shared=False)

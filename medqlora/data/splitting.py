"""Holds entries out for evaluation, seeded, so that the same question never lies on both sides."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medqlora.data.normalising import normalised
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.errors import ConfigError, DataError

MAX_EVAL_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Entries to train on and entries held out, each in file order."""

    train: tuple[MedicalDataEntry, ...]
    eval: tuple[MedicalDataEntry, ...]


def stem_of(entry: MedicalDataEntry) -> str:
    """The question of an entry, without the options of a choice."""
    stem = entry.metadata.get("stem")
    return stem if isinstance(stem, str) else entry.question


def split_entries(entries: Sequence[MedicalDataEntry], *, eval_share: float, seed: int) -> Split:
    """Splits by question: rows that ask the same stay together, as `data.normalising` compares.

    Which questions are held out depends on the seed and on the questions, not on the order of the
    file.

    Args:
        entries: All entries.
        eval_share: Share of the entries to hold out, 0 to 0.5; at most that many are.
        seed: Any whole number.

    Raises:
        ConfigError: The share is out of range.
        DataError: There are too few entries or too few different questions.
    """
    if not 0 <= eval_share <= MAX_EVAL_SHARE:
        raise ConfigError(
            f"The share to hold out must be between 0 and {MAX_EVAL_SHARE}, got {eval_share}.",
            hint="0.1 suits most datasets.",
        )
    if len(entries) < 2:
        raise DataError(
            f"There {_are(len(entries))} to train on, and at least 2 are needed.",
            hint="Give a file with more questions that have an answer.",
        )
    held_out = _held_out(entries, eval_share=eval_share, seed=seed) if eval_share else frozenset()
    return Split(
        train=tuple(one for index, one in enumerate(entries) if index not in held_out),
        eval=tuple(one for index, one in enumerate(entries) if index in held_out),
    )


def _held_out(
    entries: Sequence[MedicalDataEntry], *, eval_share: float, seed: int
) -> frozenset[int]:
    groups = _rows_by(stem_of, entries)
    if len(groups) < 2:  # one question about many texts, such as "Summarise this report."
        groups = _rows_by(lambda entry: entry.context or "", entries)
    if len(groups) < 2:
        raise DataError(
            f"All {len(entries)} rows ask the same question, so none can be held out.",
            hint="Check which column is the prompt, or hold out a share of 0.",
        )
    order = sorted(groups, key=lambda question: _position(question, seed))
    target = max(1, round(eval_share * len(entries)))
    chosen: list[int] = []
    for question in order:
        if len(chosen) + len(groups[question]) <= target:
            chosen += groups[question]
    return frozenset(chosen or groups[min(order, key=lambda question: len(groups[question]))])


def _rows_by(
    text_of: Callable[[MedicalDataEntry], str], entries: Sequence[MedicalDataEntry]
) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(entries):
        groups[normalised(text_of(entry))].append(index)
    return groups


def _position(question: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{question}".encode()).digest()


def _are(count: int) -> str:
    return {0: "are no valid rows", 1: "is 1 valid row"}.get(count, f"are {count} valid rows")

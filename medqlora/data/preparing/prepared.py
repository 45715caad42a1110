"""A prepared dataset as it lies in its folder: its files, and whether they are what its card says.

A folder that comes from elsewhere is judged here before anything else reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from medqlora.data.entries import iter_entries
from medqlora.data.preparing.records import read_record
from medqlora.domain.dataset import DatasetCard
from medqlora.errors import PersistenceError

CARD = "dataset.json"
SIDES = ("train.jsonl", "eval.jsonl")
"""The entries to train on, and those held out."""

_MAX_CARD_BYTES = 16 * 2**20


def digest_of_sides(digests: Iterable[str]) -> str:
    """The hash on a card, from the SHA-256 of each side's file in their order, in hexadecimal."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def check_prepared(folder: Path, dataset_id: str) -> DatasetCard:
    """The card of a prepared dataset, once all of the folder is what it says.

    Args:
        folder: Where its files lie.
        dataset_id: What it has to be.

    Raises:
        PersistenceError: A file is missing or damaged, or the card is that of another dataset.
    """
    try:
        is_card = (folder / CARD).stat().st_size <= _MAX_CARD_BYTES
        card = read_record(DatasetCard, folder / CARD) if is_card else None
        if card is None or card.dataset_id != dataset_id or card.sha256 != _digest(folder):
            raise _damaged(dataset_id)
        if (card.num_train, card.num_eval) != tuple(_num_entries(folder / one) for one in SIDES):
            raise _damaged(dataset_id)
    except (OSError, PersistenceError) as error:
        raise _damaged(dataset_id) from error
    return card


def _digest(folder: Path) -> str:
    digests = []
    for name in SIDES:
        with (folder / name).open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digest_of_sides(digests)


def _num_entries(file: Path) -> int:
    """How many entries a file has, each of which is one as far as its texts go."""
    count = 0
    for entry in iter_entries(file):
        texts = (entry.question, entry.answer, entry.context or "")
        if not all(isinstance(one, str) for one in texts) or not isinstance(entry.metadata, dict):
            raise _damaged(file.parent.name)
        count += 1
    return count


def _damaged(dataset_id: str) -> PersistenceError:
    return PersistenceError(
        f"The files of the prepared dataset {dataset_id} are not what its card says.",
        hint="Delete it and prepare it again.",
    )

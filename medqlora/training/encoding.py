"""Entries become token ids and labels in a file that training maps into memory.

One entry at a time is in memory as Python objects. What a row looks like is `MedicalTokenizer`'s;
cutting is said here, and refused where it would leave nothing to learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqlora.data.tokenizer import IGNORED_LABEL, MedicalTokenizer
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.events import Event, RunWarned
from medqlora.errors import DataError
from medqlora.persistence.atomic import translated_os_errors

if TYPE_CHECKING:
    from datasets import Dataset

_ROWS_A_BATCH = 500


def encoded_dataset(
    entries: Iterable[MedicalDataEntry],
    tokenizer: MedicalTokenizer,
    path: Path,
    *,
    report: Callable[[Event], object],
) -> Dataset:
    """The entries as rows of `input_ids` and `labels`, mapped from the Arrow file at `path`.

    Entries of which no answer token is left after cutting are left out. How many entries were cut
    and left out is reported as a warning.

    Args:
        entries: Gone through once.
        tokenizer: Makes the rows.
        path: The file to write; it has to stay as long as the dataset is used.
        report: Gets the warning.

    Raises:
        DataError: No entry has an answer token left.
        DiskFullError: No space is left.
    """
    from datasets import Dataset, Features, List, Value
    from datasets.arrow_writer import ArrowWriter

    features = Features({name: List(Value("int32")) for name in ("input_ids", "labels")})
    rows = tokenizer.encode_all(entries)
    with translated_os_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with ArrowWriter(
            path=str(path), features=features, writer_batch_size=_ROWS_A_BATCH
        ) as writer:
            for row in rows:
                writer.write(row)
            writer.finalize()
    rows.require_some()
    if rows.num_shortened or rows.num_left_out:
        report(
            RunWarned(
                message=(
                    f"{rows.num_shortened} of {rows.num_entries} entries were cut at "
                    f"{tokenizer.max_seq_length} tokens, and {rows.num_left_out} had no answer "
                    "left and were left out."
                ),
                hint="Raise the longest entry on Configure to keep them whole.",
            )
        )
    return Dataset.from_file(str(path))


def check_labels(dataset: Dataset, *, report: Callable[[Event], object]) -> None:
    """Looks for rows of which nothing would be learned, for a dataset that came tokenised.

    Args:
        dataset: Rows of `labels`.
        report: Gets a warning when there are some.

    Raises:
        DataError: There is nothing else.
    """
    num_masked = sum(map(_num_masked, dataset.with_format("arrow").iter(_ROWS_A_BATCH)))
    if num_masked == len(dataset):
        raise DataError(
            "All labels are masked: no token of any entry would be learned.",
            hint="Prepare the data again, with answers that are not empty or cut off.",
        )
    if num_masked:
        report(
            RunWarned(
                message=f"All labels of {num_masked} of the {len(dataset)} entries are masked, so "
                "nothing is learned from them.",
                hint="Their answers may be empty or cut off; look at them on the Dataset tab.",
            )
        )


def _num_masked(rows: Any) -> int:
    """Rows of a table without a label that is learned."""
    import numpy as np

    labels = rows.column("labels").combine_chunks()
    ends = labels.offsets.to_numpy() - labels.offsets[0].as_py()
    learned = np.concatenate([[0], np.cumsum(labels.flatten().to_numpy() != IGNORED_LABEL)])
    return int(np.sum(learned[ends[1:]] == learned[ends[:-1]]))

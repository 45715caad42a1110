"""Tries one micro-batch of the longest entries before a run, and says what it took.

The forecast knows shapes; a driver, another card or another version may need more. One forward and
backward pass on the largest micro-batch that can come shows it within seconds, before anything was
learned that could be lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medqlora.training.failures import is_out_of_memory

if TYPE_CHECKING:
    from datasets import Dataset

_GIB = 2**30


def longest_rows(dataset: Dataset, number: int) -> list[Mapping[str, Sequence[int]]]:
    """The longest rows of a tokenised dataset, the longest first."""
    import numpy as np

    lengths = row_tokens(dataset)
    order = np.argsort(lengths, kind="stable")[::-1][:number]
    return [dataset[int(index)] for index in order]


def row_tokens(dataset: Dataset) -> list[int]:
    """Tokens of each row of a tokenised dataset."""
    from pyarrow import compute

    column = dataset.with_format("arrow")[:]["input_ids"]
    lengths: list[int] = compute.list_value_length(column).to_pylist()
    return lengths


def peak_gib(trainer: Any, rows: Sequence[Mapping[str, Sequence[int]]]) -> float | None:
    """What the card held at its peak in one pass over `rows`, GiB; None when memory ran out.

    Nothing is learned: gradients are thrown away, and random numbers are as before.
    """
    import torch

    model: Any = trainer.model
    random_state = torch.cuda.get_rng_state()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    was_training = model.training
    try:
        # Unsloth's own switch also turns recomputation on, as its trainer does; `train` does not.
        getattr(model, "for_training", model.train)()
        with trainer.accelerator.autocast():
            batch = trainer._prepare_inputs(trainer.data_collator(list(rows)))
            model(**batch, use_cache=False).loss.backward()
        return torch.cuda.max_memory_reserved() / _GIB
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None
    finally:
        model.zero_grad(set_to_none=True)
        model.train(was_training)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.set_rng_state(random_state)

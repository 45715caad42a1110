"""Proves on the machine at hand that rows side by side in one sequence cannot see each other.

Batches without padding put their rows one after the other into one sequence, and the attention has
to keep them apart. Whether it does depends on the model, the library, the kernel and the card, so
no table says it: the model that is about to be trained is asked. A row is read after two different
neighbours of the same length, so that every operation has the same shapes; what the last layer
makes of the row has to be the same, and the same as of the row alone. As a control the row is read
joined to each neighbour, as one row, which has to differ: a probe that cannot see a neighbour
proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

LARGEST_SHARE_OF_CONTROL = 0.02
"""How much of what a visible neighbour changes may come through; rounding stays far below."""

LARGEST_DIFFERENCE_ALONE = 0.1
"""Relative difference to the row alone: other shapes take other kernels, which round otherwise."""

NEIGHBOUR_TOKENS = 96
ROW_TOKENS = 64
FEWEST_TOKENS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """What the probe saw, as relative differences of the last layer's output, the worst mode's.

    Attributes:
        between_neighbours: After one neighbour and after the other.
        from_alone: After a neighbour and alone.
        control: Joined to one neighbour and to the other.
    """

    between_neighbours: float
    from_alone: float
    control: float

    @property
    def holds(self) -> bool:
        """Whether rows cannot see each other."""
        return (
            self.control > 0
            and self.between_neighbours <= LARGEST_SHARE_OF_CONTROL * self.control
            and self.from_alone <= LARGEST_DIFFERENCE_ALONE
        )


def measure(trainer: Any, rows: Sequence[Mapping[str, Sequence[int]]]) -> Isolation | None:
    """Reads rows with the trainer's own model and collator, in training and in evaluation mode.

    Args:
        trainer: Ready to train, with a collator that pads nothing.
        rows: Two rows or more of `input_ids`.

    Returns:
        None where the model's layers cannot be looked at, or the rows are too short.
    """
    import torch

    row, neighbours = _chosen(rows)
    layer = _last_layer(trainer.model)
    if layer is None or min(len(row), len(neighbours[0])) < FEWEST_TOKENS:
        return None
    was_training, found = trainer.model.training, []
    random_state = torch.random.get_rng_state()
    try:
        for is_training in (True, False):
            trainer.model.train(is_training)
            outputs = [
                _output_of_last_row(trainer, layer, batch)
                for batch in (
                    [row],
                    *([one, row] for one in neighbours),
                    *([[*one, *row]] for one in neighbours),
                )
            ]
            if any(one is None for one in outputs):
                return None
            alone, first, second, joined, joined_to_other = (one[-len(row) :] for one in outputs)  # type: ignore[index]
            found.append(
                Isolation(
                    between_neighbours=_relative(first, second),
                    from_alone=max(_relative(first, alone), _relative(second, alone)),
                    control=_relative(joined, joined_to_other),
                )
            )
    finally:
        trainer.model.train(was_training)
        torch.random.set_rng_state(random_state)
    return Isolation(
        between_neighbours=max(one.between_neighbours for one in found),
        from_alone=max(one.from_alone for one in found),
        control=min(one.control for one in found),
    )


def _chosen(rows: Sequence[Mapping[str, Sequence[int]]]) -> tuple[list[int], list[list[int]]]:
    """A row, and two neighbours that are equally long and different."""
    row, neighbour = (list(one["input_ids"]) for one in (rows[0], rows[1]))
    neighbour = neighbour[:NEIGHBOUR_TOKENS]
    return row[:ROW_TOKENS], [neighbour, neighbour[::-1]]


def _last_layer(model: Any) -> torch.nn.Module | None:
    from torch import nn

    stacks = [one for one in model.modules() if isinstance(one, nn.ModuleList) and len(one) > 1]
    layers: nn.Module | None = max(stacks, key=len)[-1] if stacks else None
    return layers


def _output_of_last_row(
    trainer: Any, layer: torch.nn.Module, rows: list[list[int]]
) -> torch.Tensor | None:
    """What the layer makes of a batch; shape (tokens of all rows, width), float32."""
    import torch

    seen: list[torch.Tensor] = []

    def keep(module: Any, arguments: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        seen.append(hidden.detach().float().reshape(-1, hidden.shape[-1]))

    batch = trainer.data_collator([{"input_ids": one, "labels": one} for one in rows])
    handle = layer.register_forward_hook(keep)
    try:
        with torch.no_grad(), trainer.accelerator.autocast():
            trainer.model(**trainer._prepare_inputs(batch), use_cache=False)
    finally:
        handle.remove()
    return seen[-1] if seen else None


def _relative(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())

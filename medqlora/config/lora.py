"""LoRAParameterOptimizer: rank and alpha by the model's size and the number of entries.

Two tables of starting values from experience, each row with its reason; the smaller rank of both
is taken. It does not try ranks out, and does not know the content of the entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medqlora.domain.resources import Choice
from medqlora.errors import ConfigError

if TYPE_CHECKING:
    from medqlora.config.qlora import QLoRAConfig

USUAL_RANK = 16
ALPHA_PER_RANK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRow:
    """One row of a table of ranks.

    Attributes:
        up_to: Largest number (of entries, or of billions of parameters) this is for.
        rank: LoRA rank.
        reason: Why, one sentence for the user.
    """

    up_to: float
    rank: int
    reason: str


BY_ENTRIES = (
    RankRow(up_to=100, rank=8, reason="A large adapter would learn so few entries by heart."),
    RankRow(up_to=5_000, rank=16, reason="16 suits some hundred to some thousand entries."),
    RankRow(up_to=50_000, rank=32, reason="So many entries have more to teach than 16 holds."),
    RankRow(up_to=float("inf"), rank=64, reason="Very many entries can fill a large adapter."),
)
BY_SIZE = (
    RankRow(up_to=0.5, rank=32, reason="Very small models gain nothing from ranks above 32."),
    RankRow(up_to=15, rank=64, reason="Ranks above 64 rarely help and cost memory."),
    RankRow(
        up_to=float("inf"), rank=32, reason="In very large models each rank costs much memory."
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoRAPlan:
    """Rank and alpha, with reasons.

    Attributes:
        rank: LoRA rank.
        alpha: LoRA alpha.
        choices: What was chosen and why, for the user to read.
    """

    rank: int
    alpha: int
    choices: tuple[Choice, ...]


class LoRAParameterOptimizer:
    """Suggests rank and alpha."""

    def suggest(self, billion_parameters: float, *, num_train: int | None = None) -> LoRAPlan:
        """Rank and alpha to start from.

        Args:
            billion_parameters: Size of the model in billions of parameters.
            num_train: Training entries, or None while there is no dataset.

        Raises:
            ConfigError: A number that must be positive is not.
        """
        if not billion_parameters > 0 or (num_train is not None and num_train < 1):
            raise ConfigError(
                "A model's size and the number of entries must both be above 0, got "
                f"{billion_parameters:g} and {num_train}.",
                hint="Choose a model and a dataset with at least one training entry.",
            )
        row = min(_row(BY_SIZE, billion_parameters), _by_entries(num_train), key=lambda r: r.rank)
        alpha = ALPHA_PER_RANK * row.rank
        return LoRAPlan(
            rank=row.rank,
            alpha=alpha,
            choices=(
                Choice(name="rank", value=str(row.rank), reason=row.reason),
                Choice(name="alpha", value=str(alpha), reason="Twice the rank is usual."),
            ),
        )

    def apply(
        self, config: QLoRAConfig, billion_parameters: float, *, num_train: int | None = None
    ) -> QLoRAConfig:
        """A copy of `config` with what `suggest` says."""
        plan = self.suggest(billion_parameters, num_train=num_train)
        return config.changed(rank=plan.rank, alpha=plan.alpha)


def _by_entries(num_train: int | None) -> RankRow:
    if num_train is None:
        return RankRow(up_to=0, rank=USUAL_RANK, reason="16 suits most datasets.")
    return _row(BY_ENTRIES, num_train)


def _row(table: tuple[RankRow, ...], value: float) -> RankRow:
    return next(one for one in table if value <= one.up_to)

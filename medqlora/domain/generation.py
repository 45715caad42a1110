"""How answers are drawn from a model. `models.generation` draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BASE: Final = "base"
"""What stands for the base model where an adapter could be named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """How answers are drawn.

    Attributes:
        max_new_tokens: Longest answer in tokens.
        temperature: 0 takes the likeliest token each time; higher varies more.
        top_p: Share of the probability that is drawn from, when temperature is above 0.
        repetition_penalty: 1 is off; above 1 discourages repeating.
        seed: Seed of the drawing.
    """

    max_new_tokens: int = 160
    temperature: float = 0.0
    top_p: float = 0.9
    repetition_penalty: float = 1.1
    seed: int = 42

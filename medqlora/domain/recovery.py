"""What to do after an error, as data.

`recovery.ErrorRecoveryManager` decides; these types only say it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RecoveryKind = Literal["retry", "resume", "change_settings", "free_space", "ask_user", "give_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterAdjustment:
    """One setting to change, with the reason the user reads.

    Attributes:
        name: Setting of `QLoRAConfig`.
        old: Its value so far.
        new: The value to use instead.
        reason: Why, one sentence.
    """

    name: str
    old: int | float | str
    new: int | float | str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryAction:
    """What should happen after an error.

    Attributes:
        kind: What to do.
        message: What the user reads.
        adjustments: Settings to change first.
        steps: What the user can do, in order.
    """

    kind: RecoveryKind
    message: str
    adjustments: tuple[ParameterAdjustment, ...] = ()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectionGuide:
    """How to go on after the session was lost.

    Attributes:
        message: What happened and what is safe, one sentence.
        steps: What to do, in order.
    """

    message: str
    steps: tuple[str, ...]

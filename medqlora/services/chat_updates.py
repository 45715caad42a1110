"""How far the answers of a chat are: what `ChatService` yields, read from the worker's messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medqlora.domain.evaluation import FilterResult, SafetyFlag


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatUpdate:
    """How far two answers are.

    Attributes:
        phase: What is being done, in words.
        base_text: The base model's answer so far.
        tuned_text: The fine-tuned model's answer so far.
        is_done: Whether both are complete.
        base_tokens: Tokens of the first answer, 0 until done.
        tuned_tokens: Tokens of the second answer, 0 until done.
        seconds: Wall time of the answers, 0.0 until done.
        asked: What the safety filter says of the question, None until it was looked at.
        base_checked: What it says of the base model's answer, None until done or if not asked.
        tuned_checked: What it says of the fine-tuned model's answer, likewise.
    """

    phase: str
    base_text: str = ""
    tuned_text: str = ""
    is_done: bool = False
    base_tokens: int = 0
    tuned_tokens: int = 0
    seconds: float = 0.0
    asked: FilterResult | None = None
    base_checked: FilterResult | None = None
    tuned_checked: FilterResult | None = None


def finished(
    answers: Sequence[Mapping[str, Any]], asked: FilterResult | None, *, seconds: float
) -> ChatUpdate:
    """The last update: complete answers, or why the question was not passed on."""
    if not answers:
        # The safety filter did not pass the question on, and says why in the answers' place.
        said = asked.shown_text if asked else ""
        return ChatUpdate(phase="Done", base_text=said, tuned_text=said, is_done=True, asked=asked)
    base, tuned = answers
    checked = [filter_result(one["filter"]) for one in answers]
    return ChatUpdate(
        phase="Done",
        base_text=checked[0].shown_text,
        tuned_text=checked[1].shown_text,
        is_done=True,
        base_tokens=base["num_tokens"],
        tuned_tokens=tuned["num_tokens"],
        seconds=seconds,
        asked=asked,
        base_checked=checked[0],
        tuned_checked=checked[1],
    )


def filter_result(message: Mapping[str, Any]) -> FilterResult:
    """What the safety filter said, as the value that the worker had."""
    return FilterResult(
        allowed=message["allowed"],
        flags=tuple(SafetyFlag(**flag) for flag in message["flags"]),
        shown_text=message["shown_text"],
        original_text=message["original_text"],
    )

"""Answers of the base and the fine-tuned model, their scores, and what a filter said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Claim = Literal["better", "worse", "none"]
"""What may be said of the fine-tuned model beside its base."""

URGENT_KINDS = ("emergency", "self_harm")
"""Kinds of flags that get a banner with what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """One model's answer to one query.

    Attributes:
        query: What was asked.
        response: What the model said.
        num_tokens: Tokens it generated.
        seconds: Wall time of the generation.
        scores: Figure by metric name; empty without a reference answer.
        reference_loss: Mean negative log-likelihood of the reference's tokens in nats, as training
            measures it; None without a reference answer or where it cannot be measured.
        filter_result: What the safety filter said of the response, or None where it was not asked.
    """

    query: str
    response: str
    num_tokens: int
    seconds: float
    scores: Mapping[str, float] = field(default_factory=dict)
    filter_result: FilterResult | None = None
    reference_loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """Two answers to one query, side by side.

    Attributes:
        query: What was asked.
        base_response: The base model's answer.
        finetuned_response: The fine-tuned model's answer.
        base_scores: Scores of the first against the reference; empty without one.
        finetuned_scores: Scores of the second against the reference; empty without one.
        similarity: Token F1 of one answer against the other, 0 to 1.
        are_identical: Whether both answers are the same text.
    """

    query: str
    base_response: str
    finetuned_response: str
    base_scores: Mapping[str, float] = field(default_factory=dict)
    finetuned_scores: Mapping[str, float] = field(default_factory=dict)
    similarity: float
    are_identical: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyFlag:
    """One thing the safety filter noticed.

    Attributes:
        kind: `emergency`, `self_harm`, `dosing`, `absolute_certainty`, `harmful_request`,
            `complied`, `missed_emergency`, `refusal`, `guard` or `not_read`.
        reason: What was noticed and what to do, one sentence for the user.
        start: Where the passage begins in the text, counted in characters.
        end: Where it ends.
        what: What help with harm it is about, in words; empty for other kinds.
    """

    kind: str
    reason: str
    start: int
    end: int
    what: str = ""

    @property
    def span(self) -> tuple[int, int]:
        """Where the passage begins and ends in the text."""
        return self.start, self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterResult:
    """What the safety filter says of a text; nothing is silently rewritten.

    Attributes:
        allowed: Whether a question is passed on, or an answer shown, as it is.
        flags: What was noticed, in the order in which it stands in the text.
        shown_text: What the user sees: the text itself, or why it is held back.
        original_text: The text itself.
    """

    allowed: bool
    flags: tuple[SafetyFlag, ...]
    shown_text: str
    original_text: str

    @property
    def banner(self) -> str:
        """What to do at once, one sentence; empty where nothing sounds urgent."""
        urgent = (flag.reason for flag in self.flags if flag.kind in URGENT_KINDS)
        return next(urgent, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """One query, answered by both models.

    Attributes:
        index: Which item, counted from 1.
        reference: The answer that is known to be good, or None.
        base: The base model's answer and its scores.
        finetuned: The fine-tuned model's answer and its scores.
        metadata: What the entry carries besides, such as `specialty`.
    """

    index: int
    reference: str | None
    base: EvaluationResult
    finetuned: EvaluationResult
    metadata: Mapping[str, Any] = field(default_factory=dict)

"""AnswerWatch: the safety filter beside a chat, in the worker that answers.

One watch looks at one question and at all answers to it. What it finds goes through the pipe as
plain dicts, see `chat_worker`. The filter itself is `evaluation.safety`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from medqlora.domain.evaluation import FilterResult
from medqlora.evaluation.safety import SafetyFilter
from medqlora.evaluation.safety_rules import WITHHELD_TEXT


class AnswerWatch:
    """Looks at a question before it is asked, and at its answers while they grow and at the end.

    Args:
        safety_filter: What looks.
        turns: The conversation; its last turn is the question.
    """

    def __init__(self, safety_filter: SafetyFilter, turns: Sequence[Mapping[str, str]]) -> None:
        self._filter = safety_filter
        self._query = turns[-1]["content"]
        self.asked = safety_filter.check_query(self._query)
        """What the filter says of the question; where it is not allowed, no model is asked."""

    def growing(self, text: str) -> str:
        """What may be shown of an answer that is not complete yet."""
        return WITHHELD_TEXT if self._filter.must_withhold(text) else text

    def complete(self, text: str) -> FilterResult:
        """What the filter says of a complete answer."""
        return self._filter.check_response(text, self._query)


def as_message(result: FilterResult) -> dict[str, Any]:
    """A filter's result as it goes through the pipe."""
    return asdict(result)

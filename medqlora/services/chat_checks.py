"""What may be asked of a chat: refused before a model is loaded for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medqlora.domain.generation import GenerationSettings
from medqlora.errors import EvaluationError
from medqlora.services.asked_run import MAX_NEW_TOKENS
from medqlora.services.evaluation import MAX_QUERY_CHARS

Conversation = Sequence[Mapping[str, str]]


def check_settings(settings: GenerationSettings) -> None:
    """Refuses what a form cannot send but anybody else can.

    Raises:
        EvaluationError: A setting is out of range.
    """
    allowed = {
        "max_new_tokens": (1, MAX_NEW_TOKENS),
        "temperature": (0.0, 2.0),
        "top_p": (0.01, 1.0),
        "repetition_penalty": (1.0, 2.0),
        "seed": (0, 2**31 - 1),
    }
    for name, (low, high) in allowed.items():
        if not low <= getattr(settings, name) <= high:
            raise EvaluationError(
                f"{name} must be between {low} and {high}, got {getattr(settings, name)}.",
                hint="Set it back under How the answers are drawn.",
            )


def check_conversation(turns: Conversation) -> None:
    """Refuses a conversation that has no question, or is too long to be sent.

    Raises:
        EvaluationError: It is.
    """
    last = turns[-1]["content"].strip() if turns else ""
    if not last:
        raise EvaluationError("There is no question yet.", hint="Write one, then press Send.")
    num_chars = sum(len(turn["content"]) for turn in turns)
    if num_chars > MAX_QUERY_CHARS * 4 or len(last) > MAX_QUERY_CHARS:
        raise EvaluationError(
            f"The conversation has {num_chars:,} characters, which is too long.",
            hint="Shorten the question, or clear the conversation.",
        )

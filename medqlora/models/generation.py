"""Asks a model: several conversations in one batch, streamed.

Base and fine-tuned come from one set of weights: a row names its adapter, and PEFT applies it to
that row alone. Nothing here loads models or judges answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from medqlora.domain.generation import GenerationSettings
from medqlora.domain.reasoning import OPENING, opens_reasoning
from medqlora.errors import EvaluationError

Conversation = Sequence[dict[str, str]]
"""Turns with `role` (`system`, `user` or `assistant`) and `content`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """One answer.

    Attributes:
        text: The answer.
        num_tokens: Tokens generated for it.
        seconds: Wall time until it ended; rows of a batch share their steps.
        is_complete: False when it was cut at `max_new_tokens` or stopped.
    """

    text: str
    num_tokens: int
    seconds: float
    is_complete: bool


OnText = Callable[[int, str], None]
"""Called with a row's index and its answer so far."""


def _ignored(row: int, text: str) -> None:
    """Nobody is reading along."""


def _never() -> bool:
    return False


def generate(
    model: Any,
    tokenizer: Any,
    conversations: Sequence[Conversation],
    *,
    adapters: Sequence[str],
    settings: GenerationSettings,
    on_text: OnText = _ignored,
    should_stop: Callable[[], bool] = _never,
) -> list[Generated]:
    """One answer a conversation, in the same order.

    Args:
        model: A PEFT model, or a base model when every adapter is `engine.BASE_ADAPTER`.
        tokenizer: Its tokenizer.
        conversations: What was said so far, the last turn by the user.
        adapters: The adapter of each row.
        settings: How to draw.
        on_text: Reads along.
        should_stop: Asked after each token; True ends all rows.

    Raises:
        EvaluationError: A conversation is longer than the model can read, or its template does not
            take it.
    """
    import torch

    texts = [_as_text(tokenizer, turns) for turns in conversations]
    inputs = tokenizer(
        texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
    ).to(model.device)
    _check_length(inputs["input_ids"].shape[1], settings, model)
    # A block of reasoning that the prompt opens belongs to what is said.
    openings = [f"{OPENING}\n" if opens_reasoning(text) else "" for text in texts]
    ends = _end_tokens(model, tokenizer)
    rows = _Rows(tokenizer, openings, on_text, ends=ends)
    options: dict[str, Any] = {"adapter_names": list(adapters)} if carries_adapters(model) else {}
    if settings.temperature > 0:
        options |= {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p}
        torch.manual_seed(settings.seed)
    else:
        options |= {"do_sample": False, "temperature": None, "top_p": None}
    model.eval()
    with torch.inference_mode():
        model.generate(
            **inputs,
            **options,
            max_new_tokens=settings.max_new_tokens,
            repetition_penalty=settings.repetition_penalty,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
            streamer=rows,
            stopping_criteria=_criteria(should_stop),
        )
    return rows.results()


def _as_text(tokenizer: Any, turns: Conversation) -> str:
    from jinja2 import TemplateError

    try:
        text = tokenizer.apply_chat_template(
            list(turns), tokenize=False, add_generation_prompt=True
        )
    except TemplateError as error:
        has_system = turns[0]["role"] == "system"
        raise EvaluationError(
            "This model's chat template does not take "
            f"{'a system prompt' if has_system else 'such a conversation'}.",
            hint="Empty the system prompt." if has_system else "Clear the conversation.",
        ) from error
    return str(text)


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """The tokens at which an answer is over.

    Beside the one that ends a text, those that the model names, and the one that the template ends
    an answer with: a model that was taught turns says it, and would otherwise go on with the
    user's part.
    """
    own = model.generation_config.eos_token_id
    named = own if isinstance(own, list) else [own]
    answer = "Answered"
    said = [{"role": "user", "content": "Asked"}, {"role": "assistant", "content": answer}]
    text = str(tokenizer.apply_chat_template(said, tokenize=False))
    after = tokenizer(text.rpartition(answer)[2], add_special_tokens=False)["input_ids"]
    added = tokenizer.added_tokens_decoder
    ends = [one for one in after[:1] if one in added and added[one].special]
    return sorted({tokenizer.eos_token_id, *named, *ends} - {None})


def carries_adapters(model: Any) -> bool:
    """Whether `model` carries adapters."""
    from peft import PeftModel

    return isinstance(model, PeftModel)


def context_length(model: Any) -> int:
    """Tokens that `model` reads at most, prompt and answer together."""
    return int(model.config.get_text_config().max_position_embeddings)


def _check_length(num_prompt_tokens: int, settings: GenerationSettings, model: Any) -> None:
    limit = context_length(model)
    if num_prompt_tokens + settings.max_new_tokens > limit:
        raise EvaluationError(
            f"The question has {num_prompt_tokens} tokens; with the answer the model reads "
            f"at most {limit}.",
            hint="Shorten the question, or ask for a shorter answer.",
        )


def _criteria(should_stop: Callable[[], bool]) -> Any:
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    class Asked(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            return torch.full((input_ids.shape[0],), should_stop(), device=input_ids.device)

    return StoppingCriteriaList([Asked()])


class _Rows:
    """Collects the tokens of each row as transformers hands them out.

    Its own streamers take one row only.
    """

    def __init__(
        self, tokenizer: Any, openings: Sequence[str], on_text: OnText, *, ends: Sequence[int]
    ) -> None:
        self._tokenizer = tokenizer
        self._ends = frozenset(ends)
        self._openings = openings
        self._ids: list[list[int]] = [[] for _ in openings]
        self._ended: list[float | None] = [None for _ in openings]
        self._on_text = on_text
        self._begun = time.monotonic()
        self._has_seen_prompt = False

    def put(self, value: Any) -> None:
        """Takes the prompt first, then one token a row."""
        if not self._has_seen_prompt:
            self._has_seen_prompt = True
            return
        for row, token in enumerate(value.flatten().tolist()):
            if self._ended[row] is not None:
                continue
            if token in self._ends:
                self._ended[row] = time.monotonic()
            else:
                self._ids[row].append(token)
                self._on_text(row, self._text(row))

    def end(self) -> None:
        """Called once by transformers when the last row has ended."""

    def results(self) -> list[Generated]:
        now = time.monotonic()
        return [
            Generated(
                text=self._text(row),
                num_tokens=len(self._ids[row]),
                seconds=(self._ended[row] or now) - self._begun,
                is_complete=self._ended[row] is not None,
            )
            for row in range(len(self._ids))
        ]

    def _text(self, row: int) -> str:
        said = str(self._tokenizer.decode(self._ids[row], skip_special_tokens=True))
        return f"{self._openings[row]}{said}".strip()

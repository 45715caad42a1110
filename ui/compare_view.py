"""What Compare shows of two conversations: values only; the tab's layout is `compare_tab`'s."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from medqlora.services.chat import ChatUpdate
from medqlora.services.conversations import Exchange
from ui import markup, present, wording
from ui.compare_difference import difference_html
from ui.safety_notes import banner, safety_notes

Turns = list[dict[str, str]]


def shown(update: ChatUpdate, base: Turns, tuned: Turns, names: tuple[str, str]) -> list[Any]:
    """The prompt, both chats, the turns, the status and the difference, as the tab shows them."""
    # Both get their turn at once, so that the two conversations stay in step when one is stopped.
    is_said = bool(update.base_text or update.tuned_text or update.is_done)
    grown_base = _answered(base, update.base_text) if is_said else base
    grown_tuned = _answered(tuned, update.tuned_text) if is_said else tuned
    texts = update.base_text, update.tuned_text
    # A question that was not passed on has no answers: what stands there is the filter's.
    is_answered = update.is_done and (update.asked is None or update.asked.allowed)
    difference = difference_html(*texts, names=names) if is_answered else ""
    return [
        "",
        displayed(grown_base, is_growing=not update.is_done),
        displayed(grown_tuned, is_growing=not update.is_done),
        {"base": grown_base, "tuned": grown_tuned},
        _status(update, names),
        difference,
    ]


def _answered(turns: Turns, text: str) -> Turns:
    return [*turns, {"role": "assistant", "content": text}]


def displayed(turns: Turns, *, is_growing: bool = False) -> Turns:
    """What the page shows: an answer without a word is said to be one, once it is complete."""
    if is_growing and turns and not turns[-1]["content"].strip():
        turns = turns[:-1]
    return [
        one if one["content"].strip() else {**one, "content": wording.NO_ANSWER} for one in turns
    ]


def exchanges(turns: dict[str, Turns]) -> list[Exchange]:
    """Questions with both answers; one that was stopped before its answers is left out."""
    both = zip(turns["base"], turns["tuned"], strict=False)
    said = [(base["role"], base["content"], tuned["content"]) for base, tuned in both]
    return [
        Exchange(question=asked[1], left=answered[1], right=answered[2])
        for asked, answered in pairwise(said)
        if asked[0] == "user" and answered[0] == "assistant"
    ]


def _status(update: ChatUpdate, names: tuple[str, str]) -> str:
    if not update.is_done:
        return banner(update) + markup.progress(update.phase, None)
    return safety_notes(update, names) + markup.facts(
        {
            names[0]: f"{update.base_tokens} tokens",
            names[1]: f"{update.tuned_tokens} tokens",
            "Time": present.duration(update.seconds),
        }
    )

"""Chat turns in a row, under whatever names, as one question and one answer.

The last answer and what was asked before it are what is learned; all that was said earlier becomes
context, so that no turn is lost and no answer is learned without what led to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from medqlora.data.formats import Row

_STYLES = (
    ("from", "value"),
    ("role", "content"),
    ("role", "value"),
    ("role", "text"),
    ("speaker", "text"),
    ("speaker", "utterance"),
    ("author", "content"),
)
_ROLES: Mapping[str, str] = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "patient": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "doctor": "assistant",
    "system": "system",
}

Turn = tuple[str, str]
"""A role, `user`, `assistant` or `system`, and what was said."""


def conversation_columns(rows: Iterable[Row]) -> tuple[str, ...]:
    """The columns that hold chat turns, judged by some rows."""
    seen: dict[str, list[bool]] = {}
    for row in rows:
        for column, value in (row.values or {}).items():
            if value is not None:
                seen.setdefault(column, []).append(_has_turns(value))
    return tuple(column for column, found in seen.items() if sum(found) >= len(found) / 2)


def with_conversations(row: Row, columns: Sequence[str]) -> Row:
    """The row with the turns in `columns` told apart: `user`, `assistant`, `system`, `earlier`."""
    if row.values is None or not columns:
        return row
    values = dict(row.values)
    for column in columns:
        if values.get(column) is not None:
            values[column] = _conversation(values[column])
            if values[column] is None:
                return replace(row, values=None, problem="holds chat turns that cannot be read")
    return replace(row, values=values)


def _has_turns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and _style(value) is not None


def _style(turns: list[Any]) -> tuple[str, str] | None:
    first = turns[0]
    if not isinstance(first, dict):
        return None
    return next((style for style in _STYLES if style[0] in first and style[1] in first), None)


def _conversation(value: Any) -> dict[str, str | None] | None:
    if not isinstance(value, list):
        return None
    if not value:
        return _told_apart([])
    style = _style(value)
    turns = _turns(value, *style) if style else None
    return None if turns is None else _told_apart(_merged(turns))


def _turns(value: list[Any], role_key: str, text_key: str) -> list[Turn] | None:
    turns = []
    for turn in value:
        if not isinstance(turn, dict):
            return None
        role = _ROLES.get(str(turn.get(role_key)).casefold())
        text = _text(turn.get(text_key))
        if role is None or text is None:
            return None
        turns.append((role, text))
    return turns


def _text(content: Any) -> str | None:
    # OpenAI's content may be a list of parts; pictures and calls of tools cannot be learned from.
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        return None
    texts = [part["text"] for part in content if _is_text_part(part)]
    return "\n".join(texts) if len(texts) == len(content) else None


def _is_text_part(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def _merged(turns: list[Turn]) -> list[Turn]:
    """The turns with those of one role in a row put together."""
    merged: list[Turn] = []
    for role, text in turns:
        if merged and merged[-1][0] == role:
            merged[-1] = (role, f"{merged[-1][1]}\n{text}")
        else:
            merged.append((role, text))
    return merged


def _told_apart(turns: list[Turn]) -> dict[str, str | None]:
    answers = [index for index, (role, _) in enumerate(turns) if role == "assistant"]
    end = answers[-1] if answers else len(turns)
    asked = [index for index, (role, _) in enumerate(turns[:end]) if role == "user"]
    start = asked[-1] if asked else 0
    earlier = [f"{role.capitalize()}: {text}" for role, text in turns[:start] if role != "system"]
    return {
        "user": turns[start][1] if asked else None,
        "assistant": turns[end][1] if answers else None,
        "system": next((text for role, text in turns if role == "system"), None),
        "earlier": "\n".join(earlier) or None,
    }

"""Chat turns in a row, under whatever names, as one question and one answer.

ShareGPT (`from`, `value`) gives its first question and the answer to it; messages (`role`,
`content`) give the last ones, and what was said before becomes context.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from medqlora.data.formats import Row

_STYLES: tuple[tuple[str, str, Literal["first", "last"]], ...] = (
    ("from", "value", "first"),
    ("role", "content", "last"),
    ("role", "value", "last"),
    ("role", "text", "last"),
    ("speaker", "text", "last"),
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


def _style(turns: list[Any]) -> tuple[str, str, Literal["first", "last"]] | None:
    first = turns[0]
    if not isinstance(first, dict):
        return None
    return next((style for style in _STYLES if style[0] in first and style[1] in first), None)


def _conversation(value: Any) -> dict[str, str | None] | None:
    if not isinstance(value, list) or (value and _style(value) is None):
        return None
    style = _style(value) if value else _STYLES[0]
    turns = _turns(value, style[0], style[1]) if style else None
    if style is None or turns is None:
        return None
    return (_first if style[2] == "first" else _last)(turns)


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


def _first(turns: list[Turn]) -> dict[str, str | None]:
    user = _position(turns, "user")
    assistant = _position(turns, "assistant", after=user if user is not None else -1)
    return {**_pair(turns, user, assistant), "earlier": None}


def _last(turns: list[Turn]) -> dict[str, str | None]:
    assistant = _position(turns[::-1], "assistant")
    end = len(turns) - 1 - assistant if assistant is not None else None
    before = _position(turns[:end][::-1], "user")
    start = len(turns[:end]) - 1 - before if before is not None else None
    earlier = [(role, text) for role, text in turns[:start] if role != "system"]
    told = "\n".join(f"{role.capitalize()}: {text}" for role, text in earlier)
    return {**_pair(turns, start, end), "earlier": told or None}


def _pair(turns: list[Turn], user: int | None, assistant: int | None) -> dict[str, str | None]:
    return {
        "user": None if user is None else turns[user][1],
        "assistant": None if assistant is None else turns[assistant][1],
        "system": next((text for role, text in turns if role == "system"), None),
    }


def _position(turns: list[Turn], role: str, *, after: int = -1) -> int | None:
    return next((i for i, turn in enumerate(turns) if i > after and turn[0] == role), None)

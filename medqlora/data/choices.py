"""Multiple choice: the options of a question, and which of them a row says is right."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import Any

from medqlora.data.formats import Row
from medqlora.data.values import as_text, value_at
from medqlora.domain.dataset import AnswerBy, ColumnMapping

_KEYS = ("key", "label", "letter")
_TEXTS = ("value", "text")

Options = dict[str, str]
"""Text of an option by its letter."""


def options_of(values: Mapping[str, Any], mapping: ColumnMapping) -> Options:
    """The options of one row; empty for an open question."""
    if not mapping.options:
        return {}
    if len(mapping.options) == 1:
        return _held_by_one(value_at(values, mapping.options[0]))
    return _lettered(as_text(value_at(values, column)) for column in mapping.options)


def with_options(question: str, options: Options) -> str:
    """The question as it is asked, its options below it."""
    return "\n".join([question, *(f"{letter}. {text}" for letter, text in options.items())])


def right_option(value: Any, options: Options, answer_by: AnswerBy) -> str | None:
    """The text of the answer that `value` names, or None when it names no option."""
    if answer_by == "text":
        return as_text(value)
    if answer_by == "letter":
        return options.get(str(value).strip().upper())
    position = _whole_number(value)
    if position is None:
        return None
    index = position - (1 if answer_by == "from_1" else 0)
    if options.keys() <= set(string.ascii_uppercase):  # an option left blank keeps its number
        return options.get(string.ascii_uppercase[index]) if 0 <= index < 26 else None
    texts = list(options.values())
    return texts[index] if 0 <= index < len(texts) else None


def letter_of(response: str, options: Options) -> str:
    """The letter of the option that an answer is, by its text or its letter; else ""."""
    if response.strip() in options:
        return response.strip()
    texts = {text.strip(): letter for letter, text in options.items()}
    return texts.get(response.strip(), "")


def answer_by(mapping: ColumnMapping, sample: Iterable[Row]) -> AnswerBy | None:
    """How the response column names the right option; None when these rows do not tell.

    MedMCQA counts from 1 on GitHub and from 0 on the hub: a 0 or the number of the last option
    shows which.
    """
    rows = [
        (value, options)
        for row in sample
        if row.values is not None
        and (options := options_of(row.values, mapping))
        and (value := value_at(row.values, mapping.response)) is not None
    ]
    numbers = [(_whole_number(value), _number_of_last(options)) for value, options in rows]
    known = [(number, count) for number, count in numbers if number is not None and number >= 0]
    if len(known) > len(rows) / 2:
        return _counted_from(known)
    texts = sum(isinstance(value, str) and is_text_of(value, options) for value, options in rows)
    letters = sum(str(value).strip().upper() in options for value, options in rows)
    return "letter" if letters > max(texts, len(rows) / 2) else "text"


def is_text_of(value: str, options: Options) -> bool:
    """Whether `value` is the text of one of the options."""
    return value.strip() in {text.strip() for text in options.values()}


def _counted_from(numbers: list[tuple[int, int]]) -> AnswerBy | None:
    has_zero = any(number == 0 for number, _ in numbers)
    has_last = any(number == count for number, count in numbers)
    if has_zero == has_last:
        return None
    return "from_0" if has_zero else "from_1"


def _number_of_last(options: Options) -> int:
    """The number of the last option counted from 1; one before it may have been left blank."""
    last = max(options)
    return ord(last) - ord("A") + 1 if last in string.ascii_uppercase else len(options)


def _whole_number(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() and len(value) < 4:
        return int(value)
    return None


def _lettered(texts: Iterable[str | None]) -> Options:
    return {
        letter: text
        for letter, text in zip(string.ascii_uppercase, texts, strict=False)
        if text is not None and text.strip()
    }


def _held_by_one(value: Any) -> Options:
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        return dict(pair for item in value if (pair := _named(item)))
    if isinstance(value, list):
        return _lettered(as_text(item) for item in value)
    if isinstance(value, Mapping):
        return {
            str(key).strip().upper(): text for key, text in value.items() if isinstance(text, str)
        }
    return {}


def _named(item: Mapping[str, Any]) -> tuple[str, str] | None:
    letter = next((item[key] for key in _KEYS if isinstance(item.get(key), str)), None)
    text = next((item[key] for key in _TEXTS if isinstance(item.get(key), str)), None)
    return None if letter is None or text is None else (letter.strip().upper(), text)

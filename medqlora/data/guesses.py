"""Readings to offer when a table does not say what it means: never taken, only suggested.

They come from words within the columns' names and from what the values look like.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from medqlora.data.formats import Row
from medqlora.data.readings import Names
from medqlora.data.schemas import OFTEN_SO, PROMPTS, RESPONSES
from medqlora.data.values import as_text, value_at
from medqlora.domain.dataset import ColumnMapping

MAX_CANDIDATES = 4
SAMPLE_VALUES = 3
SAMPLE_CHARS = 80

_BY_PAIR = 0.6
_BY_PART_OF_NAME = 0.5
_BY_VALUES = 0.4
_ROWS = 200
_SAMPLE_ROWS = 40
_MIN_QUESTIONS = 0.5
_MIN_ANSWER_WORDS = 2.0
_QUESTION_MARKS = ("?", "\uff1f", "\u061f")


@dataclass(frozen=True, slots=True)
class _Looks:
    """What the values of one column look like."""

    questions: float
    words: float


def guesses(names: Names, sample: Sequence[Row]) -> list[ColumnMapping]:
    """Readings that may be meant, the likeliest first."""
    found: dict[tuple[Any, ...], ColumnMapping] = {}
    for mapping in (*_by_pair(names), *_by_part_of_name(names), *_by_values(names, sample)):
        found.setdefault(mapping.meaning, mapping)
    return list(found.values())[:MAX_CANDIDATES]


def samples_of(columns: Sequence[str], rows: Sequence[Row]) -> dict[str, tuple[str, ...]]:
    """A few different values of each column, cut short; none of a column that is empty."""
    samples: dict[str, tuple[str, ...]] = {}
    for column in columns:
        found: dict[str, None] = {}
        for row in rows[:_SAMPLE_ROWS]:
            value = value_at(row.values, column) if row.values is not None else None
            if value is not None and (text := _shown(value)):
                found[text] = None
            if len(found) == SAMPLE_VALUES:
                break
        if found:
            samples[column] = tuple(found)
    return samples


def _by_pair(names: Names) -> Iterator[ColumnMapping]:
    for prompt, response in OFTEN_SO:
        if prompt in names and response in names:
            asked, told = names[prompt][0], names[response][0]
            reason = f'Columns called "{asked}" and "{told}" often hold what is given and wanted.'
            yield _open(asked, told, reason, _BY_PAIR)


def _by_part_of_name(names: Names) -> Iterator[ColumnMapping]:
    prompts = [name for name in names if PROMPTS & set(name.replace(".", "_").split("_"))]
    responses = [name for name in names if RESPONSES & set(name.replace(".", "_").split("_"))]
    for prompt, response in product(prompts, responses):
        if prompt != response:
            asked, told = names[prompt][0], names[response][0]
            reason = f'The names "{asked}" and "{told}" sound like it.'
            yield _open(asked, told, reason, _BY_PART_OF_NAME)


def _by_values(names: Names, sample: Sequence[Row]) -> Iterator[ColumnMapping]:
    looks = {
        columns[0]: found
        for columns in names.values()
        if (found := _looks(columns[0], sample[:_ROWS])) is not None
    }
    asked = max(looks, key=lambda column: looks[column].questions, default=None)
    if asked is None or looks[asked].questions < _MIN_QUESTIONS:
        return
    others = [column for column in looks if column != asked]
    told = max(others, key=lambda column: looks[column].words, default=None)
    if told is not None and looks[told].words >= _MIN_ANSWER_WORDS:
        share = looks[asked].questions
        reason = f'{share:.0%} of "{asked}" are questions, and "{told}" holds the longest texts.'
        yield _open(asked, told, reason, _BY_VALUES)


def _open(prompt: str, response: str, reason: str, confidence: float) -> ColumnMapping:
    return ColumnMapping(prompt=(prompt,), response=response, reason=reason, confidence=confidence)


def _looks(column: str, rows: Sequence[Row]) -> _Looks | None:
    values = [value_at(row.values, column) for row in rows if row.values is not None]
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if not texts or len(texts) < len(values) / 2:
        return None
    questions = sum(text.rstrip().endswith(_QUESTION_MARKS) for text in texts)
    words = sum(len(text.split()) for text in texts)
    return _Looks(questions / len(texts), words / len(texts))


def _shown(value: Any) -> str:
    text = as_text(value)
    if text is None:
        is_nested = isinstance(value, Mapping | list)
        text = json.dumps(value, ensure_ascii=False, default=str) if is_nested else str(value)
    text = " ".join(text[: 4 * SAMPLE_CHARS].split())
    return text if len(text) <= SAMPLE_CHARS else text[: SAMPLE_CHARS - 1] + "\u2026"

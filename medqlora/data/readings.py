"""The ways in which a table can be read: by a published layout, as chats, by the columns' names.

Only names and kinds of values are looked at. Which reading is taken, or that the user is asked, is
for `data.columns`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from medqlora.data.formats import Row
from medqlora.data.schemas import CONTEXTS, PROMPTS, RESPONSES, SCHEMAS, Schema
from medqlora.data.values import value_at
from medqlora.domain.dataset import ColumnMapping

_MAX_NESTING = 3
_MAX_COLUMNS = 200
_OPTION_LETTERS = "ABCDEFGHIJ"

# How sure a reading is by its kind of evidence. Rules, not measured shares: what matters is their
# order.
_BY_LAYOUT = 0.95
_BY_LETTERS = 0.9
_BY_NAME = 0.9
_BY_NESTED_NAME = 0.8

Names = Mapping[str, tuple[str, ...]]
"""Columns by their names in lower case; two where names differ in case or spacing alone."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A way to read a table, and the lower-case names of the columns it accounts for."""

    mapping: ColumnMapping
    covers: frozenset[str]
    needs_answer_by: bool = False


def expanded(columns: Sequence[str], sample: Sequence[Row]) -> tuple[str, ...]:
    """The columns, each followed by what is nested in it: `context`, `context.contexts`."""
    names = dict.fromkeys(columns)
    for column in columns:
        for row in sample:
            names |= dict.fromkeys(_nested(column, value_at(row.values or {}, column), depth=1))
            if len(names) > _MAX_COLUMNS:
                return tuple(names)[:_MAX_COLUMNS]
    return tuple(names)


def _nested(column: str, value: object, *, depth: int) -> Iterable[str]:
    if isinstance(value, Mapping) and depth <= _MAX_NESTING:
        for key, inner in value.items():
            yield f"{column}.{key}"
            yield from _nested(f"{column}.{key}", inner, depth=depth + 1)


def lower(name: str) -> str:
    """A column's name without case and signs: "Answer (EN)" and "answer_en" are the same."""
    parts = (re.sub(r"[^\w]+", "_", part.casefold()).strip("_") for part in name.split("."))
    return ".".join(parts)


def by_lower_case(columns: Iterable[str]) -> Names:
    """Columns by their names in lower case."""
    names: dict[str, tuple[str, ...]] = {}
    for column in columns:
        names[lower(column)] = (*names.get(lower(column), ()), column)
    return names


def readings(names: Names, sample: Sequence[Row]) -> list[Reading]:
    """Every plausible reading of a table with these columns; `sample` is some of its rows."""
    known = [*_known(names), *_chats(names), *_letters_without_header(names, sample)]
    by_name = _by_role(names, lambda name: name, confidence=_BY_NAME)
    uncovered = [one for one in by_name if not any(one.covers <= other.covers for other in known)]
    nested = _by_role(names, lambda name: name.rpartition(".")[2], confidence=_BY_NESTED_NAME)
    return [*known, *uncovered] or nested


def _known(names: Names) -> list[Reading]:
    matching = [schema for schema in SCHEMAS if schema.columns <= names.keys()]
    return [
        _of_schema(schema, names)
        for schema in matching
        if not any(schema.columns < other.columns for other in matching)
    ]


def _of_schema(schema: Schema, names: Names) -> Reading:
    mapping = ColumnMapping(
        prompt=tuple(names[name][0] for name in schema.prompt),
        response=names[schema.response][0],
        context=names[schema.context][0] if schema.context else None,
        options=tuple(names[name][0] for name in schema.options),
        answer_by=schema.answer_by or "text",
        reason=f"The columns are those of {schema.name}.",
        confidence=_BY_LAYOUT,
    )
    return Reading(mapping, schema.columns, bool(schema.options) and schema.answer_by is None)


def _chats(names: Names) -> list[Reading]:
    # `data.conversations` always gives these three.
    chats = [name.removesuffix(".earlier") for name in names if name.endswith(".earlier")]
    found = []
    for chat in chats:
        if {f"{chat}.user", f"{chat}.assistant"} <= names.keys():
            user, assistant, earlier = (
                names[f"{chat}.{part}"][0] for part in ("user", "assistant", "earlier")
            )
            reason = f'The column "{names[chat][0]}" holds chats.'
            mapping = ColumnMapping(
                prompt=(user,),
                response=assistant,
                context=earlier,
                reason=reason,
                confidence=_BY_LAYOUT,
            )
            found.append(Reading(mapping, frozenset((f"{chat}.user", f"{chat}.assistant"))))
    return found


def _letters_without_header(names: Names, sample: Sequence[Row]) -> list[Reading]:
    columns = list(names)
    letters = _OPTION_LETTERS[: len(columns) - 2]
    is_numbered = columns == [f"column_{index}" for index in range(1, len(columns) + 1)]
    if not is_numbered or len(letters) < 2:
        return []
    answers = [value_at(row.values, columns[-1]) for row in sample if row.values is not None]
    if not all(isinstance(answer, str) and answer.strip() in letters for answer in answers):
        return []
    reason = "Each row is a question, its options and the letter of the right one, as in MMLU."
    mapping = ColumnMapping(
        prompt=(columns[0],),
        response=columns[-1],
        options=tuple(columns[1:-1]),
        reason=reason,
        confidence=_BY_LETTERS,
    )
    return [Reading(mapping, frozenset(columns))]


def _by_role(names: Names, role_of: Callable[[str], str], *, confidence: float) -> list[Reading]:
    contexts = [name for name in names if role_of(name) in CONTEXTS]
    return [
        Reading(
            ColumnMapping(
                prompt=(names[prompt][0],),
                response=names[response][0],
                context=names[contexts[0]][0] if len(contexts) == 1 else None,
                reason=f'The names "{names[prompt][0]}" and "{names[response][0]}" say so.',
                confidence=confidence,
            ),
            frozenset((prompt, response)),
        )
        for prompt in names
        if role_of(prompt) in PROMPTS
        for response in names
        if role_of(response) in RESPONSES
    ]

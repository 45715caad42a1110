"""What the columns of a table mean: a known layout, a mapping by the user, or a question back.

When two readings are plausible, or none, it asks and never guesses. Only names and kinds of values
are looked at here; `data.reading` builds the entries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, get_args

from medqlora.data.choices import answer_by
from medqlora.data.formats import Row
from medqlora.data.schemas import CONTEXTS, PROMPTS, RESPONSES, SCHEMAS, Schema
from medqlora.data.values import value_at
from medqlora.domain.dataset import AnswerBy, ColumnMapping
from medqlora.errors import DataError, MappingNeededError

_MAX_NESTING = 3
_MAX_COLUMNS = 200
_OPTION_LETTERS = "ABCDEFGHIJ"
_HOW_TO_SAY = (
    "Say which is which: prompt=COLUMN,response=COLUMN (A+B joins two columns to one prompt)."
)
_GRAMMAR = "Write prompt=COLUMN[+COLUMN],response=COLUMN[,context=COLUMN]."

_Names = Mapping[str, tuple[str, ...]]
"""Columns by their names in lower case; two where names differ in case or spacing alone."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """A way to read a table, and the lower-case names of the columns it accounts for."""

    mapping: ColumnMapping
    covers: frozenset[str]
    needs_answer_by: bool = False


def propose(columns: Sequence[str], sample: Sequence[Row]) -> ColumnMapping:
    """The one plausible reading of a table.

    Args:
        columns: The columns in file order.
        sample: Some rows, their chat turns already told apart.

    Raises:
        MappingNeededError: There is none, or more than one.
    """
    found = expanded(columns, sample)
    names = _by_lower_case(found)
    readings = _readings(names, sample)
    if len(readings) != 1:
        what = (
            "can be read in more than one way"
            if readings
            else "do not say what is asked and answered"
        )
        _ask(f"The columns {what}.", found)
    mapping = readings[0].mapping
    for column in (*mapping.prompt, mapping.response):
        if len(names[_lower(column)]) > 1 or f"{column} (2)" in found:
            _ask(f'The name "{column}" stands above more than one column.', found)
    if mapping.options:
        return _with_answer_by(readings[0], found, sample)
    if not _can_be_text(mapping.response, sample):
        _ask(f'The column "{mapping.response}" holds something else than text.', found)
    return mapping


def expanded(columns: Sequence[str], sample: Sequence[Row]) -> tuple[str, ...]:
    """The columns, each followed by what is nested in it: `context`, `context.contexts`."""
    names = dict.fromkeys(columns)
    for column in columns:
        for row in sample:
            names |= dict.fromkeys(_nested(column, value_at(row.values or {}, column), depth=1))
            if len(names) > _MAX_COLUMNS:
                return tuple(names)[:_MAX_COLUMNS]
    return tuple(names)


def parse_mapping(text: str) -> ColumnMapping:
    """The mapping that a user writes as `prompt=COL[+COL],response=COL[,context=COL]`.

    For multiple choice `options=COL+COL` and `answer_by=text|letter|from_0|from_1` may follow.

    Raises:
        DataError: It is not written so.
    """
    parts = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    parts = {key.strip().lower(): value.strip() for key, value in parts.items()}
    named_by = parts.get("answer_by", "text")
    is_complete = parts.get("prompt") and parts.get("response")
    if not is_complete or parts.keys() - _MAPPING_KEYS or named_by not in get_args(AnswerBy):
        raise DataError("The mapping of columns cannot be understood.", hint=_GRAMMAR)
    return ColumnMapping(
        prompt=_joined(parts["prompt"]),
        response=parts["response"],
        context=parts.get("context") or None,
        options=_joined(parts.get("options", "")),
        answer_by=_ANSWER_BY[named_by],
    )


def fitted(mapping: ColumnMapping, columns: Sequence[str], sample: Sequence[Row]) -> ColumnMapping:
    """A user's mapping with the columns as the table spells them.

    Raises:
        MappingNeededError: The table lacks one of them.
    """
    found = expanded(columns, sample)
    names = _by_lower_case(found)

    def spelled(column: str) -> str:
        if column in found:
            return column
        if _lower(column) not in names:
            _ask(f'There is no column "{column}".', found)
        return names[_lower(column)][0]

    meant = replace(
        mapping,
        prompt=tuple(spelled(column) for column in mapping.prompt),
        response=spelled(mapping.response),
        context=spelled(mapping.context) if mapping.context else None,
        options=tuple(spelled(column) for column in mapping.options),
        reason=mapping.reason or "You said so.",
    )
    return _completed(meant, names, sample)


def _completed(mapping: ColumnMapping, names: _Names, sample: Sequence[Row]) -> ColumnMapping:
    """The user's mapping, with the options of multiple choice where a known layout has them."""
    found = [column for columns in names.values() for column in columns]
    for reading in _readings(names, sample):
        known = reading.mapping
        if not mapping.options and (known.prompt, known.response) == (
            mapping.prompt,
            mapping.response,
        ):
            named_by = _with_answer_by(reading, found, sample).answer_by
            mapping = replace(mapping, options=known.options, answer_by=named_by)
    if not mapping.options and not _can_be_text(mapping.response, sample):
        _ask(f'The column "{mapping.response}" holds something else than text.', found)
    return mapping


def _ask(message: str, columns: Iterable[str]) -> NoReturn:
    names = tuple(columns)
    shown = ", ".join(f'"{name[:40]}"' for name in names[:12]) + (
        ", ..." if len(names) > 12 else ""
    )
    raise MappingNeededError(f"{message} They are: {shown}.", hint=_HOW_TO_SAY, columns=names)


def _nested(column: str, value: object, *, depth: int) -> Iterable[str]:
    if isinstance(value, Mapping) and depth <= _MAX_NESTING:
        for key, inner in value.items():
            yield f"{column}.{key}"
            yield from _nested(f"{column}.{key}", inner, depth=depth + 1)


def _lower(name: str) -> str:
    parts = (re.sub(r"[^\w]+", "_", part.casefold()).strip("_") for part in name.split("."))
    return ".".join(parts)


def _by_lower_case(columns: Iterable[str]) -> _Names:
    names: dict[str, tuple[str, ...]] = {}
    for column in columns:
        names[_lower(column)] = (*names.get(_lower(column), ()), column)
    return names


def _readings(names: _Names, sample: Sequence[Row]) -> list[_Reading]:
    known = [*_known(names), *_chats(names), *_letters_without_header(names, sample)]
    by_name = _by_role(names, lambda name: name)
    uncovered = [one for one in by_name if not any(one.covers <= other.covers for other in known)]
    return [*known, *uncovered] or _by_role(names, lambda name: name.rpartition(".")[2])


def _known(names: _Names) -> list[_Reading]:
    matching = [schema for schema in SCHEMAS if schema.columns <= names.keys()]
    return [
        _of_schema(schema, names)
        for schema in matching
        if not any(schema.columns < other.columns for other in matching)
    ]


def _of_schema(schema: Schema, names: _Names) -> _Reading:
    mapping = ColumnMapping(
        prompt=tuple(names[name][0] for name in schema.prompt),
        response=names[schema.response][0],
        context=names[schema.context][0] if schema.context else None,
        options=tuple(names[name][0] for name in schema.options),
        answer_by=schema.answer_by or "text",
        reason=f"The columns are those of {schema.name}.",
    )
    return _Reading(mapping, schema.columns, bool(schema.options) and schema.answer_by is None)


def _chats(names: _Names) -> list[_Reading]:
    # `data.conversations` always gives these three.
    chats = [name.removesuffix(".earlier") for name in names if name.endswith(".earlier")]
    readings = []
    for chat in chats:
        if {f"{chat}.user", f"{chat}.assistant"} <= names.keys():
            user, assistant, earlier = (
                names[f"{chat}.{part}"][0] for part in ("user", "assistant", "earlier")
            )
            reason = f'The column "{names[chat][0]}" holds chats.'
            mapping = ColumnMapping(
                prompt=(user,), response=assistant, context=earlier, reason=reason
            )
            readings.append(_Reading(mapping, frozenset((f"{chat}.user", f"{chat}.assistant"))))
    return readings


def _letters_without_header(names: _Names, sample: Sequence[Row]) -> list[_Reading]:
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
        prompt=(columns[0],), response=columns[-1], options=tuple(columns[1:-1]), reason=reason
    )
    return [_Reading(mapping, frozenset(columns))]


def _by_role(names: _Names, role_of: Callable[[str], str]) -> list[_Reading]:
    contexts = [name for name in names if role_of(name) in CONTEXTS]
    return [
        _Reading(
            ColumnMapping(
                prompt=(names[prompt][0],),
                response=names[response][0],
                context=names[contexts[0]][0] if len(contexts) == 1 else None,
                reason=f'The names "{names[prompt][0]}" and "{names[response][0]}" say so.',
            ),
            frozenset((prompt, response)),
        )
        for prompt in names
        if role_of(prompt) in PROMPTS
        for response in names
        if role_of(response) in RESPONSES
    ]


def _with_answer_by(
    reading: _Reading, found: Sequence[str], sample: Sequence[Row]
) -> ColumnMapping:
    if not reading.needs_answer_by:
        return reading.mapping
    named_by = answer_by(reading.mapping, sample)
    if named_by is None:
        column = reading.mapping.response
        _ask(
            f'Whether "{column}" counts the options from 0 or from 1 cannot be told.',
            found,
        )
    return replace(reading.mapping, answer_by=named_by)


def _can_be_text(column: str, sample: Sequence[Row]) -> bool:
    values = [value_at(row.values, column) for row in sample if row.values is not None]
    given = [value for value in values if value is not None]
    return not given or any(isinstance(value, str) for value in given)


def _joined(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("+") if part.strip())


_MAPPING_KEYS = frozenset(("prompt", "response", "context", "options", "answer_by"))
_ANSWER_BY: Mapping[str, AnswerBy] = {one: one for one in get_args(AnswerBy)}

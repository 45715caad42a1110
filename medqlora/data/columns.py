"""What the columns of a table mean: a known layout, a mapping by the user, or a question back.

When two readings are plausible, or none, it asks and never guesses. `data.readings` knows what is
plausible, `data.guesses` what to suggest; `data.reading` builds the entries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, get_args

from medqlora.data.choices import answer_by
from medqlora.data.formats import Row
from medqlora.data.guesses import guesses, samples_of
from medqlora.data.readings import Names, Reading, by_lower_case, expanded, lower, readings
from medqlora.data.values import value_at
from medqlora.domain.dataset import AnswerBy, ColumnMapping
from medqlora.errors import DataError, MappingNeededError

GRAMMAR = "prompt=COLUMN[+COLUMN],response=COLUMN[,context=COLUMN]"

_HOW_TO_SAY = "Say which column holds the question and which the answer."
_WRITE_SO = f"Write {GRAMMAR}."
_SAVED_SO = (
    'A saved mapping is JSON such as {"prompt": ["question"], "response": "answer"}; save it again.'
)


def propose(columns: Sequence[str], sample: Sequence[Row]) -> ColumnMapping:
    """The one plausible reading of a table.

    Args:
        columns: The columns in file order.
        sample: Some rows, their chat turns already told apart.

    Raises:
        MappingNeededError: There is none, or more than one.
    """
    table = _Table.of(columns, sample)
    found = readings(table.names, sample)
    mappings = [replace(one.mapping, confidence=one.mapping.confidence / 2) for one in found]
    if len(found) > 1:
        table.ask("The columns can be read in more than one way.", mappings)
    if not found:
        table.ask("The columns do not say what is asked and answered.")
    mapping = found[0].mapping
    for column in (*mapping.prompt, mapping.response):
        if len(table.names[lower(column)]) > 1 or f"{column} (2)" in table.columns:
            table.ask(f'The name "{column}" stands above more than one column.', mappings)
    if mapping.options:
        return _with_answer_by(found[0], table)
    if not table.can_be_text(mapping.response):
        table.ask(f'The column "{mapping.response}" holds something else than text.')
    return mapping


def fitted(mapping: ColumnMapping, columns: Sequence[str], sample: Sequence[Row]) -> ColumnMapping:
    """A user's mapping with the columns as the table spells them.

    Raises:
        MappingNeededError: The table lacks one of them.
    """
    table = _Table.of(columns, sample)
    meant = replace(
        mapping,
        prompt=tuple(table.spelled(column) for column in mapping.prompt),
        response=table.spelled(mapping.response),
        context=table.spelled(mapping.context) if mapping.context else None,
        options=tuple(table.spelled(column) for column in mapping.options),
        reason=mapping.reason or "You said so.",
    )
    return _completed(meant, table)


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
        raise DataError("The mapping of columns cannot be understood.", hint=_WRITE_SO)
    return ColumnMapping(
        prompt=_joined(parts["prompt"]),
        response=parts["response"],
        context=parts.get("context") or None,
        options=_joined(parts.get("options", "")),
        answer_by=_ANSWER_BY[named_by],
    )


def mapping_from_json(values: Any) -> ColumnMapping:
    """A mapping as `dataclasses.asdict` and JSON give it, such as the one in a dataset's card.

    Raises:
        DataError: It is something else.
    """
    fields: dict[str, Any] = {"context": None, "options": [], "answer_by": "text"}
    fields |= {"reason": "", "confidence": 1.0, **(values if isinstance(values, dict) else {})}
    is_mapping = (
        fields.keys() == {*_MAPPING_KEYS, "reason", "confidence"}
        and _are_names(fields["prompt"])
        and fields["prompt"]
        and isinstance(fields["response"], str)
        and isinstance(fields["context"], str | None)
        and _are_names(fields["options"])
        and str(fields["answer_by"]) in _ANSWER_BY
        and isinstance(fields["reason"], str)
        and isinstance(fields["confidence"], int | float)
        and 0 <= fields["confidence"] <= 1
    )
    if not is_mapping:
        raise DataError("This is not a mapping of columns.", hint=_SAVED_SO)
    lists = {name: tuple(fields[name]) for name in ("prompt", "options")}
    return ColumnMapping(**{**fields, **lists})


def read_mapping(path: Path) -> ColumnMapping:
    """The mapping that a JSON file holds: by itself, or as the `mapping` of a report or a card.

    Raises:
        DataError: It cannot be read, or holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path.name} cannot be read as JSON.", hint=_SAVED_SO) from error
    is_card = isinstance(values, dict) and "mapping" in values
    return mapping_from_json(values["mapping"] if is_card else values)


@dataclass(frozen=True, slots=True)
class _Table:
    """The columns of a table, nested ones too, and some of its rows."""

    columns: tuple[str, ...]
    names: Names
    sample: Sequence[Row]

    @classmethod
    def of(cls, columns: Sequence[str], sample: Sequence[Row]) -> _Table:
        found = expanded(columns, sample)
        return cls(found, by_lower_case(found), sample)

    def spelled(self, column: str) -> str:
        """A column as the table spells it."""
        if column in self.columns:
            return column
        if lower(column) not in self.names:
            self.ask(f'There is no column "{column}".')
        return self.names[lower(column)][0]

    def can_be_text(self, column: str) -> bool:
        values = [value_at(row.values, column) for row in self.sample if row.values is not None]
        given = [value for value in values if value is not None]
        return not given or any(isinstance(value, str) for value in given)

    def ask(self, message: str, candidates: Iterable[ColumnMapping] = ()) -> NoReturn:
        """Asks the user, with what can be said to help."""
        shown = ", ".join(f'"{name[:40]}"' for name in self.columns[:12])
        more = ", ..." if len(self.columns) > 12 else ""
        raise MappingNeededError(
            f"{message} They are: {shown}{more}.",
            hint=_HOW_TO_SAY,
            columns=self.columns,
            candidates=tuple(candidates) or tuple(guesses(self.names, self.sample)),
            samples=samples_of(self.columns, self.sample),
        )


def _completed(mapping: ColumnMapping, table: _Table) -> ColumnMapping:
    """The user's mapping, with the options of multiple choice where a known layout has them."""
    for reading in readings(table.names, table.sample):
        known = reading.mapping
        if not mapping.options and (known.prompt, known.response) == (
            mapping.prompt,
            mapping.response,
        ):
            is_said = mapping.answer_by != "text"
            named_by = (mapping if is_said else _with_answer_by(reading, table)).answer_by
            mapping = replace(mapping, options=known.options, answer_by=named_by)
    if not mapping.options and not table.can_be_text(mapping.response):
        table.ask(f'The column "{mapping.response}" holds something else than text.')
    return mapping


def _with_answer_by(reading: Reading, table: _Table) -> ColumnMapping:
    if not reading.needs_answer_by:
        return reading.mapping
    named_by = answer_by(reading.mapping, table.sample)
    if named_by is None:
        column = reading.mapping.response
        table.ask(
            f'Whether "{column}" counts the options from 0 or from 1 cannot be told.',
            [_counted(reading.mapping, way) for way in ("from_0", "from_1")],
        )
    return replace(reading.mapping, answer_by=named_by)


def _counted(mapping: ColumnMapping, way: AnswerBy) -> ColumnMapping:
    reason = f'"{mapping.response}" counts the options {way.replace("_", " ")}.'
    return replace(mapping, answer_by=way, confidence=0.5, reason=reason)


def _joined(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("+") if part.strip())


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


_MAPPING_KEYS = frozenset(("prompt", "response", "context", "options", "answer_by"))
_ANSWER_BY: Mapping[str, AnswerBy] = {one: one for one in get_args(AnswerBy)}

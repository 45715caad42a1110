"""From raw rows and a mapping to entries, each with what the counts need to know of its row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from medqlora.data.choices import Options, letter_of, options_of, right_option, with_options
from medqlora.data.formats import Row
from medqlora.data.formats.rows import MAX_ROW_CHARS
from medqlora.data.values import as_text, value_at
from medqlora.domain.dataset import ColumnMapping, MedicalDataEntry

_MAX_METADATA_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that is, or may not be, an entry.

    Attributes:
        number: The row's number, from 1 in file order.
        place: Where a person finds it.
        prompt: What is asked, without the options of a choice; None when there is no text.
        response: What is answered; None when there is no text.
        is_choice: Whether the response is one of the options that the row lists.
        entry: The entry; None when prompt, response or the whole row could not be read.
        problem: Why the row could not be read, empty when it could.
        option: The letter of the right option; empty for an open question.
        options: The options by letter; empty for an open question.
        is_multi_turn: Whether the row is a conversation whose earlier turns became context.
    """

    number: int
    place: str
    prompt: str | None = None
    response: str | None = None
    is_choice: bool = False
    entry: MedicalDataEntry | None = None
    problem: str = ""
    option: str = ""
    options: Options = field(default_factory=dict)
    is_multi_turn: bool = False


def candidates(rows: Iterable[Row], mapping: ColumnMapping) -> Iterator[Candidate]:
    """The rows as `mapping` reads them."""
    return (_candidate(row, mapping) for row in rows)


def _candidate(row: Row, mapping: ColumnMapping) -> Candidate:
    if row.values is None:
        return Candidate(row.number, row.place, problem=row.problem)
    options = options_of(row.values, mapping)
    prompt = _prompt(row.values, mapping)
    response = _response(row.values, mapping, options)
    if prompt is None or response is None:
        return Candidate(row.number, row.place, prompt, response, options=options)
    entry = _entry(row.values, mapping, prompt=prompt, response=response, options=options)
    if problem := _problem(entry):
        return Candidate(row.number, row.place, problem=problem)
    option = letter_of(response, options)
    return Candidate(
        row.number,
        row.place,
        prompt,
        response,
        is_choice=bool(option),
        entry=entry,
        option=option,
        options=options,
        is_multi_turn=entry.context is not None and mapping.context == _earlier(mapping),
    )


def _earlier(mapping: ColumnMapping) -> str:
    """The column in which `data.conversations` puts what was said before."""
    return f"{mapping.response.rpartition('.')[0]}.earlier"


def _prompt(values: Mapping[str, Any], mapping: ColumnMapping) -> str | None:
    parts = [as_text(value_at(values, column)) for column in mapping.prompt]
    given = [part for part in parts if part is not None and (part.strip() or len(parts) == 1)]
    return "\n".join(given) if given else None


def _response(values: Mapping[str, Any], mapping: ColumnMapping, options: Options) -> str | None:
    value = value_at(values, mapping.response)
    if mapping.options:
        return right_option(value, options, mapping.answer_by)
    return value if isinstance(value, str) else None


def _entry(
    values: Mapping[str, Any],
    mapping: ColumnMapping,
    *,
    prompt: str,
    response: str,
    options: Options,
) -> MedicalDataEntry:
    context = as_text(value_at(values, mapping.context)) if mapping.context else None
    metadata = _metadata(values, mapping)
    if options:
        metadata["stem"] = prompt
    return MedicalDataEntry(
        question=with_options(prompt, options),
        answer=response,
        context=context if context and context.strip() else None,
        metadata=metadata,
    )


def _metadata(values: Mapping[str, Any], mapping: ColumnMapping) -> dict[str, Any]:
    used = {*mapping.prompt, mapping.response, mapping.context, *mapping.options}
    chat = mapping.response.rpartition(".")[0]
    others = {"system": value_at(values, f"{chat}.system"), **values} if chat else values
    return {key: value for key, value in others.items() if key not in used and _is_kept(value)}


def _is_kept(value: Any) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= _MAX_METADATA_CHARS
    return isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))


def _problem(entry: MedicalDataEntry) -> str:
    texts = [entry.question, entry.answer, entry.context or ""]
    if sum(map(len, texts)) > MAX_ROW_CHARS:
        return f"is longer than {MAX_ROW_CHARS:,} characters"
    kept = [value for value in entry.metadata.values() if isinstance(value, str)]
    if any(_is_broken(text) for text in (*texts, *entry.metadata, *kept)):
        return "holds characters that are broken"
    return ""


def _is_broken(text: str) -> bool:
    # Half of a surrogate pair, or a byte that no encoding explains: it could be kept in memory, but
    # never written.
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False

"""JSON documents: an array, an object keyed by id, nested rows, parts such as train, columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from medqlora.data.formats.json_text import JsonText, columns_of
from medqlora.data.formats.rows import MAX_DOCUMENT_BYTES, Row, Source, Table, check_size, refused
from medqlora.data.formats.text import detect_encoding, open_text

_PARTS = frozenset({"train", "training", "test", "dev", "valid", "validation", "eval"})
_MAX_NESTING = 4
_MAX_VALUES = 8_000_000  # about 100 bytes of memory each, however short they are in the file
_AS_JSONL = "Save it as JSONL, one object a line, which may be larger."
_EXPECTED = "Give an array of objects, each with a question and an answer, or the same as CSV."

_Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Found:
    rows: Sequence[Any]
    name: str = ""
    notes: list[str] = field(default_factory=list)


def read_json(source: Source) -> list[Table]:
    """The tables of a JSON document; more than one when several keys hold rows.

    Raises:
        DataError: It is broken, too large, or holds no rows.
    """
    check_size(source, MAX_DOCUMENT_BYTES, hint=_AS_JSONL)
    encoding = detect_encoding(source)
    json_text = JsonText()
    with open_text(source, encoding) as file:
        text = file.read()
    if sum(map(text.count, ",[{")) > _MAX_VALUES:
        what = f"is JSON with more than {_MAX_VALUES:,} values or commas."
        raise refused(source, what, hint=_AS_JSONL)
    document, problem = json_text.parse(text)
    del text
    if problem:
        raise refused(
            source, f"{problem}.", hint="It may have been cut off; export or download it again."
        )
    notes = [encoding.note] if encoding.note else []
    found = _find_tables(source, document, depth=0)
    return [
        Table(
            "json",
            encoding.name,
            columns_of(one.rows),
            _rows(one.rows),
            one.name,
            notes + one.notes + json_text.warnings(),
        )
        for one in found
    ]


def _rows(values: Sequence[Any]) -> Iterator[Row]:
    for number, value in enumerate(values, start=1):
        if isinstance(value, dict):
            yield Row(number, f"row {number}", value)
        else:
            yield Row(number, f"row {number}", None, "is not a JSON object")


def _find_tables(source: Source, document: Any, *, depth: int) -> list[_Found]:
    if isinstance(document, list):
        return [_Found(document)]
    if isinstance(document, dict) and document:
        for fits, tables in _LAYOUTS:
            if fits(document):
                return tables(document)
        inner = [value for value in document.values() if isinstance(value, dict)]
        if len(inner) == 1 and depth < _MAX_NESTING:
            return _find_tables(source, inner[0], depth=depth + 1)
    raise refused(source, "is JSON, but holds no rows.", hint=_EXPECTED)


def _are_parts(document: _Object) -> bool:
    return _all_are(list, document) and all(key.casefold() in _PARTS for key in document)


def _parts(document: _Object) -> list[_Found]:
    if len(document) == 1:
        return [_Found(rows) for rows in document.values()]
    sizes = ", ".join(f"{name} ({len(rows):,})" for name, rows in document.items())
    rows = [
        {**row, "split": name} if isinstance(row, dict) else row
        for name, rows in document.items()
        for row in rows
    ]
    note = f"The file has parts of its own, {sizes}; they are read together and split anew."
    return [_Found(rows, notes=[note])]


def _are_columns(document: _Object) -> bool:
    # What pandas writes: {"question": {"0": ..., "1": ...}}, or {"question": [...], "answer":
    # [...]}.
    values = list(document.values())
    if len(values) < 2:
        return False
    if _all_are(dict, document):
        are_numbered = all(key.isdigit() for key in values[0])
        return (
            are_numbered and not any(key.isdigit() for key in document) and _have_same_keys(values)
        )
    have_same_length = _all_are(list, document) and len({len(value) for value in values}) == 1
    return have_same_length and not any(_holds_objects(value) for value in values)


def _columns(document: _Object) -> list[_Found]:
    cells = [
        list(value.values()) if isinstance(value, dict) else value for value in document.values()
    ]
    return [_Found([dict(zip(document, row, strict=True)) for row in zip(*cells, strict=True)])]


def _is_keyed(document: _Object) -> bool:
    return len(document) > 1 and _all_are(dict, document)


def _keyed(document: _Object) -> list[_Found]:
    return [_Found(list(document.values()))]


def _has_nested_rows(document: _Object) -> bool:
    return any(_holds_objects(value) for value in document.values())


def _nested(document: _Object) -> list[_Found]:
    return [
        _Found(value, name=f'key "{key[:40]}"')
        for key, value in document.items()
        if _holds_objects(value)
    ]


def _is_flat(document: _Object) -> bool:
    return not any(isinstance(value, list | dict) for value in document.values())


def _pairs(document: _Object) -> list[_Found]:
    # One plain value for each key: question and answer, or an id and a label. Only the user can
    # tell.
    return [_Found([{"key": key, "value": value} for key, value in document.items()])]


def _all_are(kind: type, document: _Object) -> bool:
    return all(isinstance(value, kind) for value in document.values())


def _have_same_keys(values: Sequence[_Object]) -> bool:
    return bool(values[0]) and all(value.keys() == values[0].keys() for value in values)


def _holds_objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in value[:20])


_LAYOUTS: tuple[tuple[Callable[[_Object], bool], Callable[[_Object], list[_Found]]], ...] = (
    (_are_parts, _parts),
    (_are_columns, _columns),
    (_is_keyed, _keyed),
    (_has_nested_rows, _nested),
    (_is_flat, _pairs),
)

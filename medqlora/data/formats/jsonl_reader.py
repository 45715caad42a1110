"""JSONL, also called NDJSON: one JSON object a line. A broken line costs that line alone."""

from __future__ import annotations

from collections.abc import Iterator

from medqlora.data.formats.json_text import JsonText, columns_of
from medqlora.data.formats.rows import MAX_LINE_CHARS, Row, Source, Table
from medqlora.data.formats.text import Encoding, detect_encoding, lines_of, open_text


def read_jsonl(source: Source) -> list[Table]:
    """The rows of a JSONL file, one for each line that is not blank."""
    encoding = detect_encoding(source)
    warnings = [encoding.note] if encoding.note else []
    columns = columns_of(row.values for row in _rows(source, encoding, []))
    rows = _rows(source, encoding, warnings)
    return [Table("jsonl", encoding.name, columns, rows, warnings=warnings)]


def _rows(source: Source, encoding: Encoding, warnings: list[str]) -> Iterator[Row]:
    json_text, number = JsonText(), 0
    with open_text(source, encoding) as file:
        for line_number, line in lines_of(file):
            if line is None or line.strip():
                number += 1
                yield _row(json_text, number, f"line {line_number}", line)
    warnings += json_text.warnings()


def _row(json_text: JsonText, number: int, place: str, line: str | None) -> Row:
    if line is None:
        return Row(number, place, None, f"is longer than {MAX_LINE_CHARS:,} characters")
    value, problem = json_text.parse(line)
    if not problem and not isinstance(value, dict):
        problem = "is not a JSON object"
    return Row(number, place, None if problem else value, problem)

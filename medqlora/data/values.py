"""Values of a raw row: finding one by the name of its column, and as text where it is text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def value_at(values: Mapping[str, Any], column: str) -> Any:
    """The value of a column, or None; `a.b` is the value of `b` within `a`."""
    if column in values:
        return values[column]
    outer, _, inner = column.partition(".")
    nested = values.get(outer)
    return value_at(nested, inner) if inner and isinstance(nested, Mapping) else None


def as_text(value: Any) -> str | None:
    """A text as it is, a list of texts one a line, None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return None

"""JSON text to values; every way in which hostile or broken JSON fails becomes a plain phrase."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

_ROWS_LOOKED_AT = 500


def columns_of(values: Iterable[Any]) -> tuple[str, ...]:
    """The keys of the first objects among `values`, in the order in which they come up."""
    head = itertools.islice(values, _ROWS_LOOKED_AT)
    return tuple(dict.fromkeys(key for value in head if isinstance(value, dict) for key in value))


class JsonText:
    """A JSON parser that remembers how often a name was repeated within one object."""

    def __init__(self) -> None:
        self.num_repeated = 0
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=lambda _: None
        )

    def parse(self, text: str) -> tuple[Any, str]:
        """The value and an empty string, or None and what is wrong, such as "is not JSON"."""
        try:
            return self._decoder.decode(text), ""
        except json.JSONDecodeError as error:
            where = f" (at its line {error.lineno}, character {error.colno})"
            return None, f"is not complete JSON{where}"
        except RecursionError:
            return None, "is JSON that is nested too deeply to be a table"
        except ValueError:  # Python's own limit on the digits of an integer
            return None, "holds a number of thousands of digits"

    def warnings(self) -> list[str]:
        """What was noticed while parsing."""
        if not self.num_repeated:
            return []
        return [f"{self.num_repeated:,} JSON objects repeat a key; its last value was read."]

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        self.num_repeated += len(value) < len(pairs)
        return value

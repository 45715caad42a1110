"""An evaluation's answers on disk, one JSON object a line.

A line torn by a kill is dropped with the next append.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medqlora.domain.benchmark import ChoiceAnswer
from medqlora.domain.evaluation import EvaluationResult, FilterResult, ItemResult, SafetyFlag
from medqlora.errors import PersistenceError
from medqlora.persistence.atomic import translated_os_errors


def append_items(path: Path, items: Iterable[ItemResult | ChoiceAnswer]) -> None:
    """Appends `items`.

    Raises:
        DiskFullError: No space is left.
    """
    lines = "".join(json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in items)
    with translated_os_errors(path.parent):
        if path.exists():
            os.truncate(path, len(_whole(path)))
        with path.open("a", encoding="utf-8") as file:
            file.write(lines)


def read_items(path: Path) -> list[ItemResult]:
    """The items that are whole; none when the file does not exist yet."""
    return [_from_json(record) for record in _records(path)]


def read_answers(path: Path) -> list[ChoiceAnswer]:
    """The answers to a benchmark's questions that are whole; none before the first.

    Raises:
        PersistenceError: One before the last is damaged.
    """
    with told_when_damaged():
        return [ChoiceAnswer.from_json(record) for record in _records(path)]


@contextmanager
def told_when_damaged() -> Iterator[None]:
    """Turns what reading a damaged record of a benchmark raises into one sentence."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise PersistenceError(
            "What was asked or answered here is damaged on disk.",
            hint="Start the exam again; the trained model is not affected.",
        ) from error


def _records(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in _whole(path).decode("utf-8").split("\n") if line]


def _from_json(record: dict[str, Any]) -> ItemResult:
    return ItemResult(
        **{**record, "base": _result(record["base"]), "finetuned": _result(record["finetuned"])}
    )


def _result(record: dict[str, Any]) -> EvaluationResult:
    checked = record["filter_result"]
    if checked:
        flags = tuple(SafetyFlag(**flag) for flag in checked["flags"])
        checked = FilterResult(**{**checked, "flags": flags})
    return EvaluationResult(**{**record, "filter_result": checked})


def _whole(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]

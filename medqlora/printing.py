"""How a command's result is printed: one JSON document for machines, plain lines for people."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from medqlora.data.columns import GRAMMAR
from medqlora.data.phi.entries import KEEP_CONFIRMATION
from medqlora.errors import (
    CheckpointDiffersError,
    MappingNeededError,
    MedQLoRAError,
    PhiDecisionNeededError,
)


def print_result(document: Mapping[str, Any], *, as_json: bool) -> None:
    """Prints a result, or an error as `error_of` gives it."""
    if as_json:
        print(json.dumps(_finite(document), ensure_ascii=False, indent=1))
    else:
        _print_plainly(document)
    sys.stdout.flush()  # here, where a reader that is gone is noticed in time


def say(text: str) -> None:
    """Tells the person at the terminal something, beside the result."""
    print(text, file=sys.stderr, flush=True)


def error_of(error: MedQLoRAError) -> dict[str, Any]:
    """An error as the document says it; the values of columns are not in it."""
    about: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, MappingNeededError):
        about["hint"] += f" Give --map {GRAMMAR}."
        about["columns"] = list(error.columns)
        about["candidates"] = [asdict(one) for one in error.candidates]
    if isinstance(error, PhiDecisionNeededError):
        about["hint"] = (
            "Say what to do: --phi mask, --phi surrogate, --phi drop, or --phi keep with "
            f'--phi-confirm "{KEEP_CONFIRMATION}".'
        )
        about["phi"] = dict(error.spans_by_kind)
    if isinstance(error, CheckpointDiffersError):
        about["differences"] = list(error.differences)
    return about


def _finite(value: Any) -> Any:
    """`value` with NaN and infinities as null: they are not JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value


def _print_plainly(document: Mapping[str, Any]) -> None:
    error = document.get("error")
    if error:
        say(f"{error['message']}\n{error['hint']}")
        return
    for name, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            for row in value:
                print(
                    "  ".join(
                        f"{key}={_short(one)}"
                        for key, one in row.items()
                        if one not in (None, {}, "")
                    )
                )
        else:
            print(f"{name}: {value}")


def _short(value: Any) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"

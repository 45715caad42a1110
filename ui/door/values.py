"""The values of a call: bounded, and of the kind that each control gives.

What a value means is checked by the services. Here it is made sure that a handler gets a text where
it has a text field, whoever made the call.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import gradio as gr

from ui.door.requests import RefusedCall

MAX_TEXT: Final = 200_000
MAX_CHOICE: Final = 1_000
MAX_VALUES: Final = 5_000
MAX_DEPTH: Final = 12


def checked_values(data: list[Any], controls: Sequence[Any], folder: Path) -> list[Any]:
    """The values as they may be passed on, one for each control.

    Args:
        data: What came.
        controls: The components that they come from.
        folder: Where uploads lie; no other file may be named.

    Raises:
        RefusedCall: Too deep, too much, of another kind, or a file that was not uploaded here.
    """
    _check_bounds(data, folder)
    for value, control in zip(data, controls, strict=True):
        if not _is_of(control, value):
            raise RefusedCall(422, "A field holds something that cannot be typed or chosen there.")
    # An empty text field is an empty text, however it is written.
    return [
        "" if value is None and isinstance(control, gr.Textbox) else value
        for value, control in zip(data, controls, strict=True)
    ]


def _is_of(control: Any, value: Any) -> bool:
    """Whether a control could give such a value."""
    if isinstance(control, gr.Textbox):
        return value is None or isinstance(value, str)
    if isinstance(control, gr.CheckboxGroup):
        return value is None or _are_choices(value)
    if isinstance(control, gr.Dropdown) and control.multiselect:
        return value is None or _are_choices(value)
    if isinstance(control, gr.Dropdown | gr.Radio):
        return value is None or _is_choice(value)
    if isinstance(control, gr.Checkbox):
        return value is None or isinstance(value, bool)
    if isinstance(control, gr.Slider | gr.Number):
        # A number field may hold a text that is no number yet; the settings say so themselves.
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return value is None or is_number or (isinstance(control, gr.Number) and value == "")
    if isinstance(control, gr.File):
        return value is None or (isinstance(value, dict) and isinstance(value.get("path"), str))
    return True


def _is_choice(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_CHOICE


def _are_choices(value: Any) -> bool:
    return isinstance(value, list) and all(_is_choice(one) for one in value)


def _check_bounds(data: list[Any], folder: Path) -> None:
    """Bounds what handlers get, whatever each of them makes of it.

    Raises:
        RefusedCall: Too deep, too much, no number, or a file that was not uploaded here.
    """
    left = MAX_VALUES
    waiting: list[tuple[Any, int]] = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise RefusedCall(413, "This is more than the page takes at once.")
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise RefusedCall(413, f"A text may have at most {MAX_TEXT:,} characters.")
        if isinstance(value, float) and not math.isfinite(value):
            raise RefusedCall(400, "A number is needed where there is none.")
        if isinstance(value, int) and abs(value) > 2**63:
            raise RefusedCall(400, "A number is larger than any setting.")
        if isinstance(value, list):
            waiting += [(one, depth + 1) for one in value]
        if isinstance(value, dict):
            _check_file(value, folder)
            waiting += [(one, depth + 1) for one in value.values()]


def _check_file(value: dict[str, Any], folder: Path) -> None:
    if "path" not in value and "url" not in value:
        return
    value.pop("url", None)  # the browser's own link to it; the server must follow none
    path = value.get("path")
    if not isinstance(path, str) or "\0" in path or not Path(path).is_absolute():
        raise RefusedCall(400, "The file is not one that was uploaded here.")
    if not Path(os.path.realpath(path)).is_relative_to(folder):
        raise RefusedCall(400, "The file is not one that was uploaded here.")

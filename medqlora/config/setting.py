"""A documented dataclass field: the one place where a setting says what it is and what it may be.

The form of the Configure tab, the command line's errors and the README's table are all made from
these. This module checks single values; what settings must be together is for the class that owns
them.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Literal

from medqlora.errors import ConfigError

Section = Literal["Model", "LoRA", "Training", "Batch and length", "Saving", "Advanced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is known of a setting.

    Attributes:
        label: Its name on screen.
        help: One sentence with its consequence, for a clinician.
        section: Where it stands on screen.
        minimum: Smallest value, None where there is none.
        maximum: Largest value, None where there is none.
        choices: The values it may have, empty where any in range is fine. For a tuple, what its
            members may be.
        advice: What usually suits, said when a value was refused.
        pattern: For a text that may be empty: what it must match where it is not.
    """

    label: str
    help: str
    section: Section
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    advice: str = ""
    pattern: str = ""


def setting(
    default: Any = MISSING,
    *,
    label: str,
    help: str,
    section: Section,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    advice: str = "",
    pattern: str = "",
) -> Any:
    """A dataclass field that carries a `Setting`."""
    about = Setting(
        label=label,
        help=help,
        section=section,
        minimum=minimum,
        maximum=maximum,
        choices=choices,
        advice=advice,
        pattern=pattern,
    )
    return field(default=default, metadata={"setting": about})


def settings_of(owner: Any) -> dict[str, Setting]:
    """The settings of a dataclass (or an instance of one) by field name, in order."""
    return {one.name: one.metadata["setting"] for one in fields(owner) if "setting" in one.metadata}


def checked(one: Field[Any], value: Any) -> Any:
    """`value` as the field's type, if it is allowed.

    Whole numbers given as floats or text are accepted where they are exact, because forms and JSON
    give them so.

    Raises:
        ConfigError: Wrong type, out of range, or not one of the choices.
    """
    about: Setting = one.metadata["setting"]
    kind = str(one.type)
    if kind == "bool":
        return _checked_bool(one.name, about, value)
    if kind in ("int", "float"):
        return _checked_number(one.name, about, value, whole=kind == "int")
    if kind.startswith("tuple"):
        return _checked_names(one.name, about, value)
    return _checked_text(one.name, about, value)


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """A sentence that names the closest known setting, or lists them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]}?" if close else f"The settings are: {', '.join(known)}."


def _refused(name: str, rule: str, value: Any, about: Setting) -> ConfigError:
    shown = repr(value) if len(repr(value)) <= 40 else f"something of {len(repr(value))} characters"
    return ConfigError(f"{name} must be {rule}, got {shown}.", hint=about.advice or about.help)


def _checked_bool(name: str, about: Setting, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refused(name, "true or false", value, about)
    return value


def _checked_number(name: str, about: Setting, value: Any, *, whole: bool) -> int | float:
    rule = (
        f"{'a whole number' if whole else 'a number'} between {about.minimum:g} and "
        f"{about.maximum:g}"
    )
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        raise _refused(name, rule, value, about) from None
    low, high = about.minimum, about.maximum
    if (
        low is None
        or high is None
        or not low <= number <= high
        or (whole and number != int(number))
    ):
        raise _refused(name, rule, value, about)
    return int(number) if whole else number


def _checked_names(name: str, about: Setting, value: Any) -> tuple[str, ...]:
    given = tuple(value) if isinstance(value, list | tuple) else ()
    if not given or any(one not in about.choices for one in given):
        raise _refused(name, f"one or more of {', '.join(about.choices)}", value, about)
    return tuple(one for one in about.choices if one in given)


def _checked_text(name: str, about: Setting, value: Any) -> str:
    if about.pattern:
        if not isinstance(value, str) or not re.fullmatch(f"({about.pattern})?", value):
            raise _refused(name, "a text of the right form, or empty", value, about)
        return value
    if not isinstance(value, str) or not value.strip():
        raise _refused(name, "text", value, about)
    if about.choices and value not in about.choices:
        raise _refused(name, f"one of {', '.join(about.choices)}", value, about)
    return value.strip()

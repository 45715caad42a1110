"""Owner and reviewer, and which handlers a reviewer may call.

A handler belongs to the owner unless it is marked with `for_reviewers` where it is defined, so that
a new one is closed to reviewers by itself. What is shown follows from it: a reviewer sees the tabs
that hold a control with such a handler, and of the controls whose element id begins with `owner-`
none.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import gradio as gr

_MARK = "is_for_reviewers"
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


class Role(StrEnum):
    """What somebody may do on the page."""

    OWNER = "owner"
    REVIEWER = "reviewer"


def for_reviewers(handler: _Handler) -> _Handler:
    """Marks a handler that a reviewer may call as well; `guarded` keeps the mark."""
    setattr(handler, _MARK, True)
    return handler


def is_for_reviewers(handler: Callable[..., Any]) -> bool:
    """Whether a handler was marked."""
    return bool(getattr(handler, _MARK, False))


def allowed_calls(page: gr.Blocks) -> dict[Role, frozenset[int]]:
    """The numbers of the handlers that each role may call, from the page's own table.

    What runs in the browser alone has no handler, so nobody may call it here.
    """
    with_code = {number: one.fn for number, one in page.fns.items() if one.fn is not None}
    return {
        Role.OWNER: frozenset(with_code),
        Role.REVIEWER: frozenset(
            number for number, handler in with_code.items() if is_for_reviewers(handler)
        ),
    }

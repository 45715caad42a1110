"""Keeps what people typed out of the server's log, where Gradio prints its own errors.

Gradio prints the traceback of what goes wrong around a handler, and the exception's text quotes the
value that it was about. The frames are enough to find a mistake.
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import ModuleType
from typing import Any

from gradio import queueing, routes

_log = logging.getLogger("medqlora.ui")


class _WithoutText(ModuleType):
    """The standard library's `traceback`, but what it prints has no exception's text."""

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)

    def print_exc(self, *_: Any, **__: Any) -> None:
        """Logs the present exception's kind and frames."""
        error = sys.exc_info()[1]
        frames = "".join(traceback.format_tb(error.__traceback__)) if error else ""
        _log.error("%s outside of our handlers\n%s", type(error).__name__, frames)


def keep_values_out_of_the_log() -> None:
    """From now on Gradio's tracebacks carry no text of exceptions."""
    quiet = _WithoutText("traceback")
    queueing.traceback = routes.traceback = quiet  # type: ignore[attr-defined]

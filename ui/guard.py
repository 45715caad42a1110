"""Turns an exception inside a handler into one plain sentence on the page.

The only broad `except` of the interface. An error of ours says what happened and the way out.
Anything else is a mistake in the program: the user gets a sentence with a reference, the log gets
the traceback under the same reference, without the exception's text, because that may quote a row.
What is on the page stays as it was. Nothing is retried here.
"""

from __future__ import annotations

import errno
import inspect
import logging
import secrets
import traceback
from collections.abc import Callable, Iterator
from functools import wraps
from html import escape
from typing import Any

import gradio as gr

from medqlora.errors import MedQLoRAError
from ui import wording

Handler = Callable[..., Any]
_DRIVE_IS_AWAY = {errno.ENOTCONN, errno.EIO, errno.ESTALE, errno.EHOSTDOWN, errno.ETIMEDOUT}

_log = logging.getLogger("medqlora.ui")


def guarded(handler: Handler) -> Handler:
    """`handler`, plain or a generator; its errors are told and leave the page as it was."""
    return _wrapped(handler, is_silent=False)


def guarded_tick(handler: Handler) -> Handler:
    """The same for what a timer calls: only logged, or a message would come up every second."""
    return _wrapped(handler, is_silent=True)


def tell(error: MedQLoRAError) -> None:
    """Shows an error of ours as a message at the edge of the page."""
    _show(f"{error.message} {error.hint}")


def _show(sentence: str) -> None:
    # The page renders it as HTML, and shows a title of its own instead of one that we would give.
    gr.Warning(escape(sentence), duration=15)


def _wrapped(handler: Handler, *, is_silent: bool) -> Handler:
    is_generator = inspect.isgeneratorfunction(handler)

    @wraps(handler)
    def streamed(*args: Any) -> Iterator[Any]:
        try:
            if is_generator:
                yield from handler(*args)
            else:
                yield handler(*args)
        except MedQLoRAError as error:
            _log.info("%s refused: %s", handler.__name__, error.code)
            if not is_silent:
                tell(error)
            yield gr.skip()
        except Exception as error:
            reference = _record(handler.__name__, error)
            if not is_silent:
                is_away = isinstance(error, OSError) and error.errno in _DRIVE_IS_AWAY
                told = wording.DRIVE_IS_AWAY if is_away else wording.UNEXPECTED
                _show(told.format(reference=reference))
            yield gr.skip()

    @wraps(handler)
    def plain(*args: Any) -> Any:
        return next(streamed(*args))

    return streamed if is_generator else plain


def _record(name: str, error: Exception) -> str:
    reference = secrets.token_hex(3)
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s: %s in %s\n%s", reference, type(error).__name__, name, frames)
    return reference

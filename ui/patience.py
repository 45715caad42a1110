"""Keeps a folder that hangs from taking the page with it.

A read of a network share that is away may not come back for hours, and nothing can end it. So each
handler works in a thread of its own. One that is late because a folder does not answer is given up:
the user is told, and the page goes on. It is not begun again while it hangs, so that at most a few
threads wait for the folder, whoever presses what. Handlers that are slow for another reason are
waited for.
"""

from __future__ import annotations

import contextvars
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from functools import wraps
from typing import Any

import gradio as gr

from medqlora.services.folder_watch import ANSWER_SECONDS, FolderWatch
from ui.guard import Handler, tell

_POLL_SECONDS = 0.5
_END = object()
_GIVEN_UP = object()


def be_patient(page: gr.Blocks, watch: FolderWatch) -> None:
    """Makes all handlers of a page such that a folder that hangs does not hold them up.

    Args:
        page: The page, once it is built.
        watch: Says whether the folders answer.
    """
    for one in page.fns.values():
        if one.fn is not None and not inspect.iscoroutinefunction(one.fn):
            is_tick = all(event == "tick" for _, event in one.targets)
            one.fn = _Patient(watch, is_tick=is_tick).wrapped(one.fn)


class _Patient:
    """One handler.

    Args:
        watch: See `be_patient`.
        is_tick: Whether a timer calls it, so that saying again what was said would be too much.
    """

    def __init__(self, watch: FolderWatch, *, is_tick: bool) -> None:
        self._watch = watch
        self._is_tick = is_tick
        self._given_up: list[threading.Thread] = []

    def wrapped(self, handler: Handler) -> Handler:
        """`handler`, plain or a generator."""

        @wraps(handler)
        def streamed(*args: Any) -> Iterator[Any]:
            made = handler(*args)
            while (value := self._waited_for(lambda: next(made, _END))) is not _END:
                if value is _GIVEN_UP:  # and cannot be closed, as it hangs
                    yield gr.skip()
                    return
                try:
                    yield value
                except GeneratorExit:  # nobody looks at the page any more
                    made.close()
                    raise

        @wraps(handler)
        def plain(*args: Any) -> Any:
            value = self._waited_for(lambda: handler(*args))
            return gr.skip() if value is _GIVEN_UP else value

        return streamed if inspect.isgeneratorfunction(handler) else plain

    def _waited_for(self, step: Callable[[], Any]) -> Any:
        self._given_up = [one for one in self._given_up if one.is_alive()]
        trouble = self._watch.trouble() if self._given_up else None
        if trouble:
            if not self._is_tick:
                tell(trouble)
            return _GIVEN_UP
        done: Future[Any] = Future()
        context = contextvars.copy_context()  # in which Gradio keeps whom a message is for
        thread = threading.Thread(
            target=context.run, args=(_settle, done, step), name="handler", daemon=True
        )
        thread.start()
        seconds = ANSWER_SECONDS
        while not wait([done], seconds).done:
            trouble = self._watch.trouble()
            if trouble:
                self._given_up.append(thread)
                tell(trouble)
                return _GIVEN_UP
            seconds = _POLL_SECONDS
        return done.result()


def _settle(done: Future[Any], step: Callable[[], Any]) -> None:
    try:
        done.set_result(step())
    finally:
        done.cancel()  # where there is no result, for the thread that waits

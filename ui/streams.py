"""Streams that a press on the same page ends; nothing of them comes after the press's answer.

Gradio's own `cancels` lets the page send the cancel and go on: an answer that is on its way then
arrives after "Stopped" and stays there. Here the press waits until the stream has said its last
word. A stream has to give something every second for this, if only what it gave before.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TypeVar

LONGEST_WAIT_SECONDS = 10.0

T = TypeVar("T")


class Streams:
    """What is being streamed, one at a time for each browser tab."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_tab: dict[str, _Stream] = {}

    def until_ended(self, tab: str | None, source: Iterator[T]) -> Iterator[T]:
        """`source` until it is over or somebody ends it; it is closed then.

        Args:
            tab: The session's hash, None outside of a page.
            source: A generator.
        """
        key, stream = tab or "", _Stream()
        with self._lock:
            self._of_tab[key] = stream
        try:
            for one in source:
                if stream.shall_end.is_set():
                    break
                yield one
        finally:
            getattr(source, "close", lambda: None)()
            with self._lock:
                if self._of_tab.get(key) is stream:
                    del self._of_tab[key]
            stream.has_ended.set()

    def end(self, tab: str | None) -> None:
        """Ends what is streamed to a tab, if anything is, and waits until it has."""
        with self._lock:
            stream = self._of_tab.get(tab or "")
        if stream:
            stream.shall_end.set()
            stream.has_ended.wait(LONGEST_WAIT_SECONDS)


class _Stream:
    def __init__(self) -> None:
        self.shall_end = threading.Event()
        self.has_ended = threading.Event()

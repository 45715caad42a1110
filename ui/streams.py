"""Streams that a press on the same page ends, with the press's answer as their last word.

Gradio's own `cancels` lets the page send the cancel and go on: a piece that is on its way then
arrives after "Stopped" and stays there. And when a stream is over, Gradio sends its last piece once
more, in no order with the answers of other handlers. So the press answers nothing itself where
something is being streamed: the stream does, and repeats that. It has to give something every
second for this, if only what it gave before.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Streams(Generic[T]):
    """What is being streamed, one at a time for each browser tab."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_tab: dict[str, _Stream[T]] = {}

    def until_ended(self, tab: str | None, source: Iterator[T]) -> Iterator[T]:
        """`source` until it is over or somebody ends it; it is closed then, and theirs comes last.

        Args:
            tab: The session's hash, None outside of a page.
            source: A generator.
        """
        key, stream = tab or "", _Stream[T]()
        with self._lock:
            self._of_tab[key] = stream
        try:
            for one in source:
                if stream.last:
                    break
                yield one
        finally:
            getattr(source, "close", lambda: None)()
            with self._lock:
                if self._of_tab.get(key) is stream:
                    del self._of_tab[key]
        yield from stream.last

    def end(self, tab: str | None, last: T) -> bool:
        """Ends what is streamed to a tab; False where nothing is.

        Args:
            tab: The session's hash, None outside of a page.
            last: What the stream says last.
        """
        with self._lock:
            stream = self._of_tab.get(tab or "")
            if stream:
                stream.last = [last]
        return stream is not None


class _Stream(Generic[T]):
    def __init__(self) -> None:
        self.last: list[T] = []

"""A press ends a stream, and nothing of the stream comes after the press's answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from ui.streams import Streams


def ticking(closed: threading.Event) -> Iterator[int]:
    try:
        number = 0
        while True:
            number += 1
            yield number
            time.sleep(0.01)
    finally:
        closed.set()


def test_nothing_comes_after_the_end_was_asked_for() -> None:
    streams, closed, said = Streams(), threading.Event(), list[int]()
    reader = threading.Thread(
        target=lambda: said.extend(streams.until_ended("page", ticking(closed)))
    )
    reader.start()
    time.sleep(0.05)
    streams.end("page")
    assert closed.is_set()
    reader.join(5)
    assert not reader.is_alive()
    assert said


def test_the_end_of_one_page_leaves_another_alone() -> None:
    streams, closed = Streams(), threading.Event()
    mine = streams.until_ended("mine", ticking(closed))
    assert next(mine) == 1
    streams.end("another")
    assert next(mine) == 2
    mine.close()
    assert closed.is_set()
    streams.end("mine")  # nothing is streamed any more: it returns at once


def test_a_stream_that_is_over_by_itself_needs_no_end() -> None:
    streams = Streams()
    assert list(streams.until_ended(None, iter([1, 2]))) == [1, 2]
    streams.end(None)

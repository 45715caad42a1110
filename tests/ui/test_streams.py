"""A press ends a stream, and what it answers is the stream's last word."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from ui.streams import Streams


def ticking(closed: threading.Event) -> Iterator[str]:
    try:
        while True:
            yield "Answering"
            time.sleep(0.01)
    finally:
        closed.set()


def test_the_presss_answer_comes_last_and_once() -> None:
    streams, closed, said = Streams[str](), threading.Event(), list[str]()
    reader = threading.Thread(
        target=lambda: said.extend(streams.until_ended("page", ticking(closed)))
    )
    reader.start()
    time.sleep(0.05)
    assert streams.end("page", "Stopped")
    reader.join(5)
    assert closed.is_set()
    assert said[-1] == "Stopped"
    assert set(said[:-1]) == {"Answering"}


def test_the_end_of_one_page_leaves_another_alone() -> None:
    streams, closed = Streams[str](), threading.Event()
    mine = streams.until_ended("mine", ticking(closed))
    assert next(mine) == "Answering"
    assert not streams.end("another", "Stopped")
    assert next(mine) == "Answering"
    mine.close()
    assert closed.is_set()
    assert not streams.end("mine", "Stopped")  # nothing is streamed any more


def test_a_stream_that_is_over_by_itself_needs_no_end() -> None:
    streams = Streams[int]()
    assert list(streams.until_ended(None, iter([1, 2]))) == [1, 2]
    assert not streams.end(None, 3)


def test_a_stream_that_fails_says_so_and_is_over() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("gone")

    streams = Streams[int]()
    with pytest.raises(ValueError, match="gone"):
        list(streams.until_ended("page", failing()))
    assert not streams.end("page", 2)

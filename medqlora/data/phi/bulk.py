"""Many texts through the PHI screen, in bounded memory and in several processes where it pays."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from typing import TypeVar

from medqlora.data.phi.screen import PhiScreen
from medqlora.domain.phi import PhiSpan

Given = TypeVar("Given")
Result = TypeVar("Result")

# A process needs about half a second to start and to read its words: below this much text one
# process is done sooner.
_WORTH_PROCESSES = 400_000
_CHUNK = 20_000
# Chunks that wait for each process; what bounds the memory.
_AHEAD = 3
_WATCH_SECONDS = 0.5


def screen_many(texts: Iterable[str], *, processes: int | None = None) -> Iterator[list[PhiSpan]]:
    """The spans of each text, in the order of the texts.

    Args:
        texts: Taken as needed, never all at once.
        processes: At most this many; None is one for every core, 1 stays in this process.
    """
    return in_processes(_find_all, texts, size=len, processes=processes)


def _find_all(texts: Sequence[str]) -> list[list[PhiSpan]]:
    screen = PhiScreen()
    return [screen.find(text) for text in texts]


def in_processes(
    work: Callable[[Sequence[Given]], list[Result]],
    items: Iterable[Given],
    *,
    size: Callable[[Given], int],
    processes: int | None = None,
) -> Iterator[Result]:
    """`work` on chunks of `items`, its results one by one in the order of the items.

    Args:
        work: Takes several items and returns a result for each; other processes have to be able
            to import it.
        items: Taken as needed.
        size: Characters of an item.
        processes: At most this many; None is one for every core, 1 stays in this process.
    """
    count = processes or os.cpu_count() or 1
    chunks = _chunks(items, size)
    first: list[list[Given]] = []
    characters = 0
    for chunk in chunks if count > 1 else ():
        first.append(chunk)
        characters += sum(map(size, chunk))
        if characters >= _WORTH_PROCESSES:
            break
    every = chain(first, chunks)
    if characters < _WORTH_PROCESSES:
        for chunk in every:
            yield from work(chunk)
        return
    # Spawned, because a fork of a process with threads may hang.
    pool = ProcessPoolExecutor(
        count, mp_context=get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),)
    )
    try:
        waiting: deque[Future[list[Result]]] = deque()
        for chunk in every:
            waiting.append(pool.submit(work, chunk))
            if len(waiting) >= count * _AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # whoever stopped does not wait for what is ahead


def _end_with(parent: int) -> None:
    """Lets a process of the pool end when its parent was killed: it would wait for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _chunks(items: Iterable[Given], size: Callable[[Given], int]) -> Iterator[list[Given]]:
    chunk: list[Given] = []
    characters = 0
    for item in items:
        chunk.append(item)
        characters += size(item)
        if characters >= _CHUNK or len(chunk) >= 2000:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk

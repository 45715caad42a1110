"""Folders that are there with all that belongs into them, or not at all.

    PARENT/
      .unfinished-x7k2/
        lock          held by who is at work; a kill lets go of it
        <name>/       what is being made, or taken away

What is made is filled here, flushed to the disk and renamed into place; what is removed is renamed
to here first. So a list of `PARENT/*/some-file` never shows half of anything, and what a kill left
is known by its place: `sweep` removes it. This module knows nothing of what the folders mean.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from medqlora.persistence.atomic import sync_folder, translated_os_errors

_PREFIX: Final = ".unfinished-"
_LOCK: Final = "lock"


@contextmanager
def made_whole(target: Path) -> Iterator[Path]:
    """A folder to fill that becomes `target` when the block ends, and is gone when it fails.

    Args:
        target: A folder that is not there yet; its parents are made.

    Raises:
        DiskFullError: No space is left.
        StorageUnavailableError: The parent cannot be written, or `target` has come meanwhile.
    """
    with translated_os_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(target.parent) as place:
            made = place / target.name
            made.mkdir()
            yield made
            flush_folder(made)
            made.rename(target)
            sync_folder(target.parent)


def remove_whole(folder: Path) -> None:
    """Removes a folder with all that is in it: away in one step, then deleted.

    Raises:
        StorageUnavailableError: It cannot be removed.
    """
    with translated_os_errors(folder.parent), unfinished(folder.parent) as place:
        try:
            folder.rename(place / folder.name)
        except FileNotFoundError:
            return  # somebody else was quicker
        shutil.rmtree(place / folder.name)


@contextmanager
def unfinished(parent: Path) -> Iterator[Path]:
    """A folder in `parent` for work that is going on; gone afterwards, also with what is in it."""
    place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with (place / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Removes what work that was killed left in `parent`; work that is going on is left alone."""
    for place in parent.glob(f"{_PREFIX}*"):
        try:
            lock = (place / _LOCK).open("a")
        except OSError:
            continue  # done in this moment
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(place, ignore_errors=True)


def flush_folder(folder: Path) -> None:
    """Makes what was written into `folder` survive a power cut."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            descriptor = os.open(Path(place) / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(place))

"""Files that are either the old ones or the new ones, never half of each.

A file is written under a temporary name beside its target, flushed to the disk and renamed into
place. The name is removed again when writing fails. This module knows nothing of what the files
mean.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medqlora.errors import DiskFullError, StorageUnavailableError


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8 in one step.

    Raises:
        DiskFullError: No space is left.
        StorageUnavailableError: The folder cannot be written.
    """
    with translated_os_errors(path.parent):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", text=False)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON in one step; see `write_text` for its errors."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def sync_folder(folder: Path) -> None:
    """Makes renames within `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def translated_os_errors(folder: Path) -> Iterator[None]:
    """Turns the system's errors about `folder` into ours, once."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"The disk of {folder} is full.",
                hint="Free some space (old runs can be deleted), then try again; nothing was lost.",
            ) from error
        raise StorageUnavailableError(
            f"The folder {folder} cannot be used: {error.strerror or type(error).__name__}.",
            hint="Choose a folder that you may write to with --workspace DIR.",
        ) from error

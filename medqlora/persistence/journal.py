"""A journal: JSON objects, one a line, only ever appended, by any number of processes.

A line that a kill tore in the middle is ignored by readers and cut off by the next writer. What the
records mean is for those who keep them.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medqlora.errors import PersistenceError
from medqlora.persistence.atomic import translated_os_errors


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Appends `record`; it is on the disk when this returns.

    Raises:
        DiskFullError: No space is left; the journal is as it was.
    """
    line = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    with translated_os_errors(path.parent), path.open("ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = len(_whole(path.read_bytes()))
        os.ftruncate(file.fileno(), size)
        left = memoryview(line)
        try:
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), size)
            raise


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records that are whole; none when there is no journal yet.

    Raises:
        PersistenceError: A record is damaged.
    """
    if not path.exists():
        return []
    with translated_os_errors(path.parent):
        data = path.read_bytes()
    try:
        return [json.loads(line) for line in _whole(data).splitlines()]
    except ValueError:
        raise PersistenceError(
            f"The record of {path.parent.name} is damaged.",
            hint="Its folder is kept; everything else goes on.",
        ) from None  # the cause quotes the line


def _whole(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]

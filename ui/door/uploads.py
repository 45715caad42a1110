"""An upload before Gradio takes it: its size, how many files, and the room on the disk.

Once it is here its first bytes have to be those of a kind that is read, whatever its name says;
what is in it is looked at when it is read (`medqlora.data.formats`). Files are removed with age by
`sweep`, whatever became of them.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from medqlora.errors import DataError
from ui.door.requests import RefusedCall

MAX_FILES_AT_ONCE: Final = 5
MAX_FILES: Final = 500
FORM_BYTES: Final = 100_000
"""What a form adds to its files."""
FREE_BYTES_KEPT: Final = 1_000_000_000
TIMES_LARGEST: Final = 4
"""All uploads together may be so many times as large as the largest one."""


@dataclass(frozen=True, slots=True)
class UploadRules:
    """What may be uploaded.

    Attributes:
        folder: Where all of it lies, Gradio's own copies too.
        max_bytes: Largest file.
        check_kind: Raises DataError for a file of a kind that nothing here reads.
    """

    folder: Path
    max_bytes: int
    check_kind: Callable[[Path], None]

    def check(self, content_length: int | None) -> None:
        """Refuses what is too large or finds no room.

        Raises:
            RefusedCall: It cannot be taken.
        """
        if content_length is None:
            raise RefusedCall(411, "An upload has to say how large it is.")
        if content_length > self.max_bytes + FORM_BYTES:
            raise RefusedCall(413, f"At most {self.max_bytes // 1_000_000:,} MB are taken.")
        if shutil.disk_usage(self.folder).free - content_length < FREE_BYTES_KEPT:
            raise RefusedCall(507, "The disk of this machine is nearly full. Free some space.")
        sizes = list(_sizes(self.folder))
        if len(sizes) >= MAX_FILES or sum(sizes) > TIMES_LARGEST * self.max_bytes:
            raise RefusedCall(
                507, "There are too many uploads already. They are removed an hour after they came."
            )

    def check_content(self, answer: bytes) -> None:
        """Refuses an upload of which a file is of another kind, and removes all of it.

        Args:
            answer: What Gradio says of it: the paths of its files as JSON.

        Raises:
            RefusedCall: It is not kept.
        """
        files = [Path(one) for one in json.loads(answer)]
        try:
            for one in files:
                self.check_kind(one)
        except DataError as error:
            for one in files:
                one.unlink(missing_ok=True)
            raise RefusedCall(415, f"{error.message} {error.hint}") from error


def boundary_of(content_type: str) -> bytes:
    """What separates the parts of a form; empty when the body is none."""
    kind, _, rest = content_type.partition(";")
    name, _, value = rest.strip().partition("=")
    is_form = kind.strip().lower() == "multipart/form-data" and name.strip().lower() == "boundary"
    return value.split(";")[0].strip().strip('"').encode("latin-1") if is_form else b""


class PartCounter:
    """Counts the files of an upload as it comes.

    Args:
        boundary: What separates its parts.
    """

    def __init__(self, boundary: bytes) -> None:
        self._mark = b"--" + boundary
        self._tail = b""
        self._count = 0

    def feed(self, chunk: bytes) -> None:
        """Looks at the next bytes.

        Raises:
            RefusedCall: There are too many files.
        """
        seen = self._tail + chunk
        self._count += seen.count(self._mark)
        keep = len(self._mark) - 1
        self._tail = seen[-keep:] if keep else b""
        if self._count > MAX_FILES_AT_ONCE + 1:  # the last one ends the form
            raise RefusedCall(413, f"At most {MAX_FILES_AT_ONCE} files are taken at once.")


def sweep(folder: Path, *, seconds: float) -> int:
    """Removes files of `folder` that are older than that; returns how many.

    Also what an upload left that never came to its end.
    """
    limit = time.time() - seconds
    removed = 0
    for file in folder.rglob("*"):
        if file.is_file() and file.stat().st_mtime < limit:
            file.unlink(missing_ok=True)
            removed += 1
    return removed


def _sizes(folder: Path) -> Iterator[int]:
    for file in folder.rglob("*"):
        if file.is_file():
            yield file.stat().st_size

"""Folders of links: files of several folders, and a few written ones, as one model's folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from medqlora.persistence.atomic import translated_os_errors, write_text


def linked_folder(target: Path, *, links: Mapping[str, Path], texts: Mapping[str, str]) -> Path:
    """Makes `target` hold links and texts; one that is there and right is left alone.

    Args:
        target: The folder.
        links: The file that each name leads to.
        texts: The content of the other files by name.

    Raises:
        DiskFullError: No space is left.
        StorageUnavailableError: The folder cannot be written.
    """
    files = {name: file.resolve() for name, file in links.items()}
    if _is_right(target, files, texts):
        return target  # another process may be reading it
    with translated_os_errors(target.parent.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=target.parent))
        for name, file in files.items():
            (staging / name).symlink_to(file)
        for name, text in texts.items():
            write_text(staging / name, text)
        shutil.rmtree(target, ignore_errors=True)
        staging.rename(target)
    return target


def _is_right(target: Path, files: Mapping[str, Path], texts: Mapping[str, str]) -> bool:
    try:
        is_same = all(
            (target / name).read_text(encoding="utf-8") == text for name, text in texts.items()
        )
    except (OSError, ValueError):
        return False
    return is_same and all(
        (target / name).resolve() == file and file.is_file() for name, file in files.items()
    )

"""FolderWatch: asks the workspace's folders again and again, in a thread of its own.

A folder may be a network share or a mounted drive, of which a call can fail, or hang for hours. Who
waits for one can ask here whether that is the reason, without asking the folder.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from medqlora.errors import StorageUnavailableError
from medqlora.persistence.workspace import Workspace

ANSWER_SECONDS = 3.0
"""A folder that needs longer than this for one call does not answer."""
POLL_SECONDS = 1.0


class FolderWatch:
    """Watches the folders of a workspace from `start` to `stop`.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._folders = (workspace.root, workspace.models, *workspace.of_the_user)
        self._reasons: dict[Path, str] = {}
        self._asked: tuple[Path, float] | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="folder-watch", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends, as soon as the folder that is being asked has answered; does not wait for it."""
        self._is_over.set()

    def trouble(self) -> StorageUnavailableError | None:
        """What is wrong with a folder now, fit to be raised, or None."""
        asked = self._asked
        if asked and time.monotonic() - asked[1] > ANSWER_SECONDS:
            return _no_answer(asked[0], "")
        return next((_no_answer(*one) for one in tuple(self._reasons.items())), None)

    def _run(self) -> None:
        while not self._is_over.wait(POLL_SECONDS):
            for folder in self._folders:
                begun = time.monotonic()
                self._asked = (folder, begun)
                reason = _reason(folder)
                self._asked = None
                if reason is None and time.monotonic() - begun > ANSWER_SECONDS:
                    reason = "it is too slow"
                if reason is None:
                    self._reasons.pop(folder, None)
                else:
                    self._reasons[folder] = reason


def _reason(folder: Path) -> str | None:
    try:
        os.statvfs(folder)  # never from the system's memory, as a listing may be
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def _no_answer(folder: Path, reason: str) -> StorageUnavailableError:
    why = f" ({reason})" if reason else ""
    return StorageUnavailableError(
        f"The workspace folder does not answer: {folder}{why}.",
        hint="See that its disk or network share is connected. The page goes on by itself once it "
        "answers, and what you pressed last may be done then.",
    )

"""The mirror's process, `python -m medqlora.runs.mirror_worker WORKSPACE`: one a workspace.

It watches the logs of the runs and the list of datasets, and sends a courier whenever there is
something new to copy, again and again with growing delays when that fails. Like a job it is a
session of its own: it goes on when the server ends, and ends by itself when everything is safe and
nothing runs. It touches the mirror never and what is copied only to read it.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from medqlora.errors import MedQLoRAError, PersistenceError
from medqlora.persistence.atomic import translated_os_errors, write_json
from medqlora.persistence.storage_address import StorageAddress, read_mirror
from medqlora.persistence.workspace import Workspace
from medqlora.runs.courier import SILENCE_SECONDS, Courier
from medqlora.runs.mirror_backlog import MirrorBacklog
from medqlora.runs.process import identity_of, start_worker

POLL_SECONDS = 0.5
IDLE_SECONDS = 60.0
"""A worker needs this long at most from the start of its run to being found."""
GIVE_UP_SECONDS = 6 * 3600.0
"""Without anything running and without success for so long, the next start tries again."""


class MirrorWorker:
    """Copies the runs and datasets of one workspace until there is nothing more to copy.

    Args:
        workspace: The workspace.
        courier: Who does the errands.
        idle_seconds: How long to wait for something new.
    """

    def __init__(
        self, workspace: Workspace, courier: Courier, *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._workspace = workspace
        self._courier = courier
        self._idle_seconds = idle_seconds

    def run(self) -> None:
        """Returns when all is safe, when the mirror is switched off, or when it is given up."""
        backlog: MirrorBacklog | None = None
        last_moved = time.monotonic()
        while (address := self._address()) is not None:
            if backlog is None or backlog.address != address:
                backlog = MirrorBacklog(self._workspace, address)
                backlog.load()
            backlog.look()
            folder = backlog.due()
            if folder is not None:
                if self._push(backlog, folder):
                    last_moved = time.monotonic()
                continue
            still = time.monotonic() - last_moved
            if backlog.is_live():
                last_moved = time.monotonic()
            elif still > (GIVE_UP_SECONDS if backlog.is_waiting() else self._idle_seconds):
                return
            time.sleep(POLL_SECONDS)

    def _address(self) -> StorageAddress | None:
        try:
            return read_mirror(self._workspace)
        except PersistenceError:
            return None  # whoever sets the mirror was told

    def _push(self, backlog: MirrorBacklog, folder: str) -> bool:
        known = ["--is-known"] if backlog.is_known else []
        began = time.monotonic()
        try:
            pushed = self._courier.send("push", backlog.address, folder, *known)
        except MedQLoRAError as error:
            print(f"{folder}: {error.code}: {error.message}", flush=True)
            with suppress(PersistenceError):  # a full disk: remembered here, written with the next
                backlog.failed(folder, error)
            return False
        with suppress(PersistenceError):
            backlog.succeeded(folder, pushed, seconds=time.monotonic() - began)
        return True


def ensure_mirroring(workspace: Workspace) -> None:
    """Starts the mirror's process unless it is there.

    Raises:
        StorageUnavailableError: The workspace cannot be written.
    """
    with translated_os_errors(workspace.root):
        workspace.mirror.mkdir(exist_ok=True)
        claim = _claim(workspace)
        if claim is None:
            return
        os.close(claim)
        with (workspace.mirror / "worker.log").open("a", encoding="utf-8") as log:
            start_worker(
                "medqlora.runs.mirror_worker", [str(workspace.root)], stdout=log, stderr=log
            )


def main(arguments: list[str] | None = None) -> int:
    """Mirrors until there is nothing more to do; at once when another process does."""
    parser = argparse.ArgumentParser(prog="python -m medqlora.runs.mirror_worker")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--silence-seconds", type=float, default=SILENCE_SECONDS)
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    options = parser.parse_args(arguments)
    workspace = Workspace(options.workspace)
    worker = MirrorWorker(
        workspace,
        Courier(workspace, silence_seconds=options.silence_seconds),
        idle_seconds=options.idle_seconds,
    )
    while (claim := _claim(workspace)) is not None:
        write_json(workspace.mirror / "worker.json", identity_of(os.getpid()))
        worker.run()
        os.close(claim)
        # A run may have begun since the last look, while whoever began it still saw the claim.
        if not _has_news(workspace):
            break
    return 0


def _has_news(workspace: Workspace) -> bool:
    address = None
    try:
        address = read_mirror(workspace)
    except PersistenceError:
        return False
    if address is None:
        return False
    backlog = MirrorBacklog(workspace, address)
    backlog.load()
    backlog.look()
    return backlog.due() is not None


def _claim(workspace: Workspace) -> int | None:
    """A descriptor whose lock makes this process the one that mirrors, or nothing."""
    descriptor = os.open(workspace.mirror / "worker.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


if __name__ == "__main__":
    sys.exit(main())

"""The courier: the process that does one errand to a mirror and ends.

    python -m medqlora.runs.mirror_courier push WORKSPACE BACKEND LOCATION FOLDER [--is-known]
    python -m medqlora.runs.mirror_courier list WORKSPACE BACKEND LOCATION
    python -m medqlora.runs.mirror_courier restore WORKSPACE BACKEND LOCATION FOLDER
    python -m medqlora.runs.mirror_courier restore-datasets WORKSPACE BACKEND LOCATION

FOLDER is `runs/ID` or `datasets/ID`; of these only runs are restored one by one.
It is the only process that touches the storage, so that a mount which hangs hangs nobody else, and
may be killed at any moment. On its standard output, one JSON object a line: `progress` whenever
something moves, then `done` or `failed`. It ends when its standard input closes, which is when
whoever sent it is gone. Of foreign errors it names the type alone: their texts may hold keys.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from medqlora.errors import MedQLoRAError
from medqlora.persistence.cloud import CloudStorageInterface
from medqlora.persistence.mirror import Mirror
from medqlora.persistence.mirror_manifest import DATASETS, RUNS, FolderCopy, MirroredState
from medqlora.persistence.workspace import Workspace
from medqlora.runs.outbox import collect, collect_dataset
from medqlora.runs.process import private_stdout
from medqlora.runs.related import RelatedRecords
from medqlora.runs.restoring import restore, restore_datasets
from medqlora.runs.run_directory import RunDirectory

_PROGRESS_SECONDS = 0.5
_NICENESS = 10


def main(arguments: list[str] | None = None) -> int:
    """Does the errand; the exit code is 0 when it is done, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m medqlora.runs.mirror_courier")
    parser.add_argument("errand", choices=ERRANDS)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("backend")
    parser.add_argument("location")
    parser.add_argument("folder", nargs="?", default="")
    parser.add_argument("--is-known", action="store_true")
    options = parser.parse_args(arguments)
    threading.Thread(target=_end_with_sender, name="sender", daemon=True).start()
    voice = _Voice(private_stdout())
    try:
        storage = CloudStorageInterface(
            options.backend, options.location, on_progress=voice.progress
        )
        done = ERRANDS[options.errand](Mirror(storage), Workspace(options.workspace), options)
    except MedQLoRAError as error:
        voice.say(kind="failed", code=error.code, message=error.message, hint=error.hint)
        return 1
    except Exception as error:
        voice.say(
            kind="failed",
            code="storage_unavailable",
            message=f"The storage cannot be used ({type(error).__name__}).",
            hint="See that its address is right and that its credentials are in the environment.",
        )
        return 1
    voice.say(kind="done", **done)
    return 0


def _push(mirror: Mirror, workspace: Workspace, options: argparse.Namespace) -> dict[str, Any]:
    os.nice(_NICENESS)  # training comes first
    mirror.open(is_known=options.is_known)
    state = mirror.push(_collected(workspace, options.folder))
    return {**_about(state), "is_settled": mirror.is_settled(state)}


def _collected(workspace: Workspace, folder: str) -> FolderCopy:
    if folder.startswith(DATASETS):
        return collect_dataset(workspace.root / folder, workspace.outbox)
    run = RunDirectory(workspace.root / folder)
    return collect(run, workspace.outbox, RelatedRecords(workspace).files(run))


def _list(mirror: Mirror, _workspace: Workspace, _options: argparse.Namespace) -> dict[str, Any]:
    mirror.find()
    found = {kind: mirror.listing(kind) for kind in (RUNS, DATASETS)}
    damaged = [folder for one in found.values() for folder in one.damaged]
    newest = {kind: [_about(state) for state in one.newest] for kind, one in found.items()}
    return {**newest, "damaged": damaged}


def _restore(mirror: Mirror, workspace: Workspace, options: argparse.Namespace) -> dict[str, Any]:
    mirror.find()
    fetched = restore(mirror, workspace, options.folder.removeprefix(f"{RUNS}/"))
    return {**_about(fetched.state), "num_passed_over": fetched.num_passed_over}


def _restore_datasets(
    mirror: Mirror, workspace: Workspace, _options: argparse.Namespace
) -> dict[str, Any]:
    mirror.find()
    back, not_back = restore_datasets(mirror, workspace)
    return {"back": [_about(state) for state in back], "not_back": not_back}


ERRANDS: Mapping[str, Callable[[Mirror, Workspace, argparse.Namespace], dict[str, Any]]] = {
    "push": _push,
    "list": _list,
    "restore": _restore,
    "restore-datasets": _restore_datasets,
}


def _about(state: MirroredState) -> dict[str, Any]:
    return {
        "id": state.folder.partition("/")[2],
        "name": state.name,
        "seq": state.seq,
        "step": state.step,
        "outcome": state.outcome,
        "at": state.at.isoformat(),
        "size_bytes": state.size_bytes,
    }


class _Voice:
    """Speaks to whoever sent the courier."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told_at = 0.0

    def progress(self) -> None:
        """Something moves; not told too often."""
        if time.monotonic() - self._told_at > _PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            self.say(kind="progress")

    def say(self, **message: Any) -> None:
        print(json.dumps(message), file=self._out, flush=True)


def _end_with_sender() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())

"""The courier: the process that does one errand to a mirror and ends.

    python -m medqlora.runs.mirror_courier push WORKSPACE BACKEND LOCATION RUN_ID [--is-known]
    python -m medqlora.runs.mirror_courier list WORKSPACE BACKEND LOCATION
    python -m medqlora.runs.mirror_courier restore WORKSPACE BACKEND LOCATION RUN_ID

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
from medqlora.persistence.mirror_manifest import MirroredState
from medqlora.persistence.workspace import Workspace
from medqlora.runs.outbox import collect
from medqlora.runs.process import private_stdout
from medqlora.runs.related import RelatedRecords
from medqlora.runs.restoring import restore
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
    parser.add_argument("run_id", nargs="?", default="")
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
    run = RunDirectory(workspace.runs / options.run_id)
    copy = collect(run, workspace.outbox, RelatedRecords(workspace).files(run))
    state = mirror.push(copy)
    return {**_about(state), "is_settled": mirror.is_settled(state)}


def _list(mirror: Mirror, _workspace: Workspace, _options: argparse.Namespace) -> dict[str, Any]:
    mirror.find()
    return {"runs": [_about(state) for state in mirror.newest()]}


def _restore(mirror: Mirror, workspace: Workspace, options: argparse.Namespace) -> dict[str, Any]:
    mirror.find()
    fetched = restore(mirror, workspace, options.run_id)
    return {**_about(fetched.state), "num_passed_over": fetched.num_passed_over}


ERRANDS: Mapping[str, Callable[[Mirror, Workspace, argparse.Namespace], dict[str, Any]]] = {
    "push": _push,
    "list": _list,
    "restore": _restore,
}


def _about(state: MirroredState) -> dict[str, Any]:
    return {
        "run_id": state.run_id,
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

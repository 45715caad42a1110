"""Starts worker processes and tells whether one is alive. What they do is not known here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TextIO

import psutil

# One core stays free for the page and the browser: torch's threads wait for each other at every
# operation, so that one that has to share its core slows all of them down, on two cores tenfold.
NUM_THREADS = max(len(os.sched_getaffinity(0)) - 1, 1)

PROJECT_ROOT = Path(__file__).resolve().parents[2]

_SAME_START_SECONDS = 0.5

_ENVIRONMENT: Mapping[str, str] = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTORCH_ALLOC_CONF": "expandable_segments:True",
}


def start_worker(
    module: str,
    arguments: Sequence[str],
    *,
    stdout: IO[Any] | int,
    stderr: IO[Any] | int,
    stdin: int = subprocess.DEVNULL,
    keep_open: Sequence[int] = (),
) -> psutil.Popen:
    """Starts `python -m module arguments` in a session of its own.

    Its own session keeps a worker alive when the server, the notebook kernel or the terminal is
    interrupted.

    Args:
        module: Module to run.
        arguments: Its arguments.
        stdout: Where its standard output goes.
        stderr: Where its standard error goes.
        stdin: Where its standard input comes from.
        keep_open: Descriptors it inherits, such as a lease.
    """
    inherited = os.environ.get("PYTHONPATH")
    path = str(PROJECT_ROOT) + (os.pathsep + inherited if inherited else "")
    return psutil.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        # The server's own working folder goes when it ends, and a worker may outlive it.
        cwd=PROJECT_ROOT,
        start_new_session=True,
        pass_fds=tuple(keep_open),
        env={
            "OMP_NUM_THREADS": str(NUM_THREADS),
            **os.environ,
            **_ENVIRONMENT,
            "PYTHONPATH": path,
        },
    )


def this_process() -> dict[str, float]:
    """What identifies this process even after its number was given to another."""
    return {"pid": os.getpid(), "started": psutil.Process().create_time()}


def private_stdout() -> TextIO:
    """The real standard output; whatever a library prints goes to standard error instead."""
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return private


def recorded_process(worker_file: Path) -> psutil.Process | None:
    """The process that `worker_file` names, if that very process is still running."""
    try:
        record = json.loads(worker_file.read_text(encoding="utf-8"))
        process = psutil.Process(int(record["pid"]))
        is_same = abs(process.create_time() - float(record["started"])) < _SAME_START_SECONDS
        is_running = process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return process if is_same and is_running else None

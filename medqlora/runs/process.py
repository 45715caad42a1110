"""Starts worker processes and tells whether one is alive. What they do is not known here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TextIO

import psutil

from medqlora.persistence.atomic import write_json

# One core stays free for the page and the browser: torch's threads wait for each other at every
# operation, so that one that has to share its core slows all of them down, on two cores tenfold.
NUM_THREADS = max(len(os.sched_getaffinity(0)) - 1, 1)

PROJECT_ROOT = Path(__file__).resolve().parents[2]

_JOB = "MEDQLORA_JOB"
"""The variable by which a job's processes are known even after their parent died."""

_REAP_SECONDS = 5.0

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
    job: Path | None = None,
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
        job: The job's directory, by which its processes can be found.
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
            **({_JOB: str(job)} if job else {}),
            "PYTHONPATH": path,
        },
    )


def record_process(worker_file: Path, worker: psutil.Process) -> None:
    """Writes what identifies a process even after its number was given to another.

    Written by whoever started it, at once: a server that starts meanwhile finds it.
    """
    write_json(worker_file, identity_of(worker.pid))


def identity_of(pid: int) -> dict[str, int | str]:
    """What identifies a process even after its number was given to another.

    In ticks since the machine was started, because the time of day may be set while it runs.

    Raises:
        OSError: It is gone.
    """
    # The name of the process, in brackets, may hold anything; see proc(5).
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    ticks = int(fields.rpartition(")")[2].split()[19])
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return {"pid": pid, "started_ticks": ticks, "boot": boot}


def private_stdout() -> TextIO:
    """The real standard output; whatever a library prints goes to standard error instead."""
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return private


def recorded_process(worker_file: Path) -> psutil.Process | None:
    """The process that `worker_file` names, if that very process is still running."""
    try:
        record = json.loads(worker_file.read_text(encoding="utf-8"))
        identity = identity_of(int(record["pid"]))
        is_same = {name: record[name] for name in identity} == identity
        process = psutil.Process(int(record["pid"]))
        is_running = process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
    return process if is_same and is_running else None


def end_processes(job: Path) -> int:
    """Kills every process of a job whose worker is gone, and returns how many there were.

    One of them would otherwise go on, and hold the lease that it inherited.
    """
    left = [one for one in psutil.process_iter() if _job_of(one) == str(job)]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_REAP_SECONDS)
    return len(left)


def jobs_with_processes(folder: Path) -> set[Path]:
    """The jobs of `folder` of which any process is running."""
    jobs = {Path(job) for one in psutil.process_iter() if (job := _job_of(one))}
    return {job for job in jobs if job.parent == folder}


def _job_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(_JOB)
    except (psutil.Error, OSError):
        return None  # gone, or another user's

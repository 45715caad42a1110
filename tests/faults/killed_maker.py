"""Does something in a workspace again and again, killed with -9 one file operation later each time.

    python -m tests.faults.killed_maker WORKSPACE WHAT [ARGUMENT...]

It ends once it was not killed any more, and prints how often it was.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from medqlora.runs.import_job import import_file, prepare
from medqlora.runs.job import Job
from medqlora.services import Services
from tests.faults.runs import CONFIG

CHANGES = {"mkdir", "replace", "rename", "unlink", "rmdir"}
OTHER_OPERATIONS = {"write", "sendfile", "fsync", "flock", "ftruncate"}
A_WORKER_STARTS = "fork_exec"
"""No kill after this one: what a killed worker leaves is another test's matter."""


def enqueue(services: Services, turn: int, dataset_id: str) -> None:
    services.training.enqueue(CONFIG.changed(seed=turn), dataset_id)


def start(services: Services, turn: int, dataset_id: str) -> None:
    services.training.start(CONFIG.changed(seed=turn), dataset_id)


def evaluate(services: Services, turn: int, run_id: str) -> None:
    services.evaluation.start(run_id, queries=[f"What is {turn}?"])


def panel(services: Services, turn: int, run_id: str) -> None:
    services.panel.start(run_id)


def exam(services: Services, turn: int, run_id: str, name: str) -> None:
    services.benchmarks.start(run_id, [name], num_items=turn)


def review(services: Services, turn: int, evaluation_id: str) -> None:
    services.review.make(evaluation_id, num_items=3, shows_reference=True, seed=turn)


def import_adapter(services: Services, turn: int, archive: str) -> None:
    services.library.import_adapter(Path(archive))


def start_import(services: Services, turn: int, file: str) -> None:
    services.datasets.imports.start_import(Path(file))


def delete_newest(services: Services, turn: int) -> None:
    services.training.delete(services.training.runs()[0].run_id)


def take_newest_out_of_queue(services: Services, turn: int) -> None:
    services.training.remove_from_queue(services.training.queued()[-1].run_id)


def do_job(services: Services, turn: int, job_id: str) -> None:
    """What the worker of an import or a preparation does."""
    directory = services.datasets.imports.directory(job_id)
    spec = directory.spec()
    job = Job(directory=directory, spec=spec, report=lambda event: event)
    {"import": import_file, "prepare": prepare}[spec.kind](job)


DEEDS: dict[str, Callable[..., None]] = {
    one.__name__: one
    for one in (
        enqueue, start, evaluate, panel, exam, review, import_adapter, start_import, delete_newest,
        take_newest_out_of_queue, do_job,
    )
}  # fmt: skip


def kill_me_at(moment: int) -> None:
    """kill -9 of this process before its file operation of that number, from a change on."""
    seen = 0

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal seen
        if event != "c_call":
            return
        is_change = argument.__module__ == "posix" and argument.__name__ in CHANGES
        seen += is_change or bool(seen and argument.__name__ in OTHER_OPERATIONS)
        if seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        if argument.__name__ == A_WORKER_STARTS:
            os.kill(os.getpid(), signal.SIGTERM)

    sys.setprofile(watch)


def main(workspace: str, what: str, *arguments: str) -> None:
    """See above."""
    services = Services.open(Path(workspace))
    moment = 0
    while True:
        moment += 1
        child = os.fork()
        if not child:
            kill_me_at(moment)
            DEEDS[what](services, moment, *arguments)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != signal.SIGKILL:
            break
    assert status in (0, signal.SIGTERM), status
    sys.stdout.write(str(moment - 1))


if __name__ == "__main__":
    main(*sys.argv[1:])

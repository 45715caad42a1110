"""The launcher: several workers for one run, `python -m medqlora.runs.launcher RUN_DIR`.

torchrun starts and watches them and ends all when one ends badly; there are no restarts, because a
resume goes on from a checkpoint. The launcher is the process that the supervisor sees: it lives as
long as any of them and dies as the one did that failed. When the one that failed was not the one
that writes the log, it left word, and the launcher writes the end.

On several machines each has a launcher, and torchrun's own variables say how they find each other
(PET_NNODES, PET_NODE_RANK, PET_MASTER_ADDR, PET_MASTER_PORT).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.events import RunFailed
from medqlora.domain.jobs import JobSpec
from medqlora.errors import ConfigError, MedQLoRAError, SessionError
from medqlora.runs.attempts import close_attempt
from medqlora.runs.run_directory import RunDirectory

WORKER = "medqlora.runs.worker"

_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str] | None = None) -> int:
    """Runs this machine's workers of a run and returns the exit code of the first that failed."""
    given = sys.argv[1:] if arguments is None else arguments
    directory = RunDirectory(Path(given[0]).resolve())
    is_first_machine = os.environ.get("PET_NODE_RANK", "0") == "0"
    try:
        return _launch(directory, given)
    except MedQLoRAError as error:
        print(error, file=sys.stderr)
        if is_first_machine:
            end = RunFailed(code=error.code, message=error.message, hint=error.hint)
            close_attempt(directory, end)
        return 1


def _launch(directory: RunDirectory, given: list[str]) -> int:
    from torch.distributed import DistError
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError

    num_here = processes_here(directory.spec(), os.environ)
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    os.environ["OMP_NUM_THREADS"] = str(max(threads // num_here, 1))
    options = [f"--nproc-per-node={num_here}", "--max-restarts=0"]
    if "PET_NNODES" not in os.environ:
        options += ["--standalone", "--local-addr=127.0.0.1"]
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    failures: Mapping[int, Any] = {}
    with tempfile.TemporaryDirectory(prefix="medqlora-launcher-") as folder:
        try:
            asked = [*options, f"--log-dir={folder}", "-m", WORKER, *given]
            torchrun.run(torchrun.parse_args(asked))  # type: ignore[no-untyped-call]
        except ChildFailedError as error:
            failures = error.failures
        except SignalException as ended:
            return 128 + int(ended.sigval)
        except (RendezvousError, DistError) as error:
            raise SessionError(
                "The machines of this run did not find each other.",
                hint="Check that PET_MASTER_ADDR names the first machine, that PET_MASTER_PORT is "
                "free there and can be reached, and that PET_NNODES is the same on all.",
            ) from error
    return _end(directory, failures) if failures else 0


def processes_here(spec: JobSpec, environment: Mapping[str, str]) -> int:
    """Workers that run on this machine.

    Raises:
        ConfigError: The processes cannot be shared out equally among the machines.
    """
    num_processes = QLoRAConfig.from_dict(spec.config).num_processes
    given = environment.get("PET_NNODES", "1")
    num_machines = int(given) if given.isdecimal() else 0
    if not num_machines or num_processes % num_machines:
        raise ConfigError(
            f"num_processes {num_processes} cannot be shared out among PET_NNODES {given} "
            "machines.",
            hint="Every machine runs as many: 2 machines with 4 GPUs each are num_processes 8 and "
            "PET_NNODES 2.",
        )
    return num_processes // num_machines


def leave_word(end: RunFailed) -> None:
    """Leaves the end of this worker where its launcher finds it."""
    said = {"code": end.code, "message": end.message, "hint": end.hint}
    seen_by_torchrun = {**said, "extraInfo": {"timestamp": str(int(time.time()))}}
    Path(os.environ[_ERROR_FILE]).write_text(
        json.dumps({"message": seen_by_torchrun}), encoding="utf-8"
    )


def die_with_launcher() -> None:
    """Has the system kill this worker when its launcher is gone, however that ended."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(directory: RunDirectory, failures: Mapping[int, Any]) -> int:
    """Tells what the first worker that failed has told, or dies as it died."""
    told = [one.message for one in failures.values() if isinstance(one.message, dict)]
    if told:
        said = {name: told[0][name] for name in ("code", "message", "hint")}
        close_attempt(directory, RunFailed(**said))
        return 1
    all_codes = [one.exitcode for one in failures.values()]
    # torchrun has ended the others of them by SIGTERM.
    codes = sorted(one for one in all_codes if one != -signal.SIGTERM) or all_codes
    if codes[0] < 0:  # by a signal: whoever watches has to see the same
        if codes[0] != -signal.SIGKILL:
            signal.signal(-codes[0], signal.SIG_DFL)
        os.kill(os.getpid(), -codes[0])
    return int(codes[-1])


if __name__ == "__main__":
    sys.exit(main())

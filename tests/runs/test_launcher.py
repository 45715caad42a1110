"""How the processes of a run are shared out among machines."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import Outcome, RunFailed
from medqlora.domain.jobs import JobSpec
from medqlora.errors import ConfigError
from medqlora.runs.attempts import open_attempt
from medqlora.runs.launcher import processes_here
from medqlora.runs.process import PROJECT_ROOT
from medqlora.runs.run_directory import RunDirectory


def spec(num_processes: int) -> JobSpec:
    config = QLoRAConfig(EMBEDDED_MODEL, num_processes=num_processes)
    return JobSpec(
        run_id="r", kind="train", name="", created_at="", config=config.to_dict(), models_dir=""
    )


def test_every_machine_runs_as_many() -> None:
    assert processes_here(spec(8), {}) == 8
    assert processes_here(spec(8), {"PET_NNODES": "2"}) == 4


@pytest.mark.parametrize("num_machines", ["3", "0", "1:4", "two"])
def test_what_cannot_be_shared_out_is_refused(num_machines: str) -> None:
    with pytest.raises(ConfigError, match=f"among PET_NNODES {num_machines} machines"):
        processes_here(spec(8), {"PET_NNODES": num_machines})


def test_what_the_second_worker_failed_of_is_the_end_of_the_run(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run", spec(2))
    open_attempt(directory)
    program = (
        "import sys; from medqlora.runs import launcher;"
        "launcher.WORKER = 'tests.runs.failing_worker';"
        f"sys.exit(launcher.main([{str(directory.path)!r}]))"
    )
    begun_at = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT_ROOT, check=False)
    assert time.monotonic() - begun_at < 120, "the first was left waiting"
    assert done.returncode == 1
    [end] = [one for one in directory.read_events() if isinstance(one, Outcome)]
    assert isinstance(end, RunFailed)
    assert (end.code, end.message) == ("out_of_memory", "The second had no memory left.")

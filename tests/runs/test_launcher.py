"""How the processes of a run are shared out among machines."""

from __future__ import annotations

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.jobs import JobSpec
from medqlora.errors import ConfigError
from medqlora.runs.launcher import processes_here


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

"""A question that cannot be answered now is given back, with the reason."""

from __future__ import annotations

import gradio as gr
import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.jobs import JobSpec
from medqlora.errors import GpuBusyError
from medqlora.persistence.workspace import Workspace
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.run_directory import RunDirectory
from medqlora.services import Services
from ui.compare_tab import Handlers

DRAWN = (16, 0.0, 1.1, 0.9, 42, "")
PAGE = gr.Request(session_hash="one-page")
RUN = "20261122-000000-trained-0000"


def test_a_question_during_an_evaluation_is_given_back_with_the_reason(
    workspace: Workspace,
) -> None:
    spec = JobSpec(
        run_id=RUN,
        kind="train",
        name="trained",
        created_at="2026-11-22T00:00:00+00:00",
        config=QLoRAConfig(EMBEDDED_MODEL).to_dict(),
        models_dir=str(workspace.models),
        dataset={"name": "pairs"},
    )
    RunDirectory.create(workspace.runs / RUN, spec).adapter.mkdir()
    lease = GpuLease.acquire(workspace.machine_lock, holder="an evaluation")
    earlier = {"base": [{"role": "user", "content": "Before"}], "tuned": []}
    services = Services.open(workspace.root)
    asked = Handlers(services).send(
        RUN, "base", "tuned", "What is gout?", "", earlier, PAGE, *DRAWN
    )
    shown = [next(asked), next(asked)]
    with pytest.raises(GpuBusyError):
        next(asked)
    lease.close()
    services.close()
    assert "Waiting for a turn" in shown[0][-3]
    prompt, base, tuned, turns, status, _, _ = shown[1]
    assert (prompt, base, tuned, turns) == ("What is gout?", earlier["base"], [], earlier)
    assert "The machine is busy with an evaluation." in status
    assert "mq-bad" in status

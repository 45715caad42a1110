"""Which engine a run got, and why, is what the user reads; for cards and models that are not here.

torch's view of the card is stood in for, as a vendor's module; everything of ours is real.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import Event, PhaseChanged, RunStarted, RunWarned
from medqlora.domain.jobs import JobSpec
from medqlora.domain.snapshot import RunSnapshot, apply
from medqlora.models import catalog, engine_choice
from medqlora.models.catalog_entry import CatalogEntry
from medqlora.models.loader import QuantizedModelLoader
from medqlora.models.memory_forecast import typical_shape
from medqlora.persistence.workspace import Workspace
from medqlora.runs import train_job
from medqlora.runs.job import Job
from medqlora.runs.run_directory import RunDirectory

CONFIG = QLoRAConfig(EMBEDDED_MODEL)


def card(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] | None) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)


def told(workspace: Workspace, config: QLoRAConfig) -> tuple[str, list[Event], RunSnapshot]:
    """The engine's name, what was reported, and what a viewer sees of it."""
    events: list[Event] = []
    job = Job(directory=RunDirectory(workspace.runs / "one"), spec=SPEC, report=events.append)
    engine = train_job._engine(job, QuantizedModelLoader(models_dir=workspace.models), config)
    snapshot = RunSnapshot(run_id="one")
    for event in (RunStarted(job="train", resumed_from_step=0), *events):
        snapshot = apply(snapshot, event)
    return engine.name, events, snapshot


SPEC = JobSpec(
    run_id="one",
    kind="train",
    name="one",
    created_at="2026-01-01T00:00:00+00:00",
    models_dir="",
    config=CONFIG.to_dict(),
    dataset={},
    versions={},
)


def test_without_a_gpu_the_run_says_so_and_does_not_warn(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    card(monkeypatch, None)
    name, [event], snapshot = told(workspace, CONFIG)
    assert name == "transformers"
    assert isinstance(event, PhaseChanged)
    assert "there is no GPU" in snapshot.phase
    assert snapshot.messages == ()


def test_an_old_card_is_a_warning_that_the_user_sees(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    card(monkeypatch, (6, 0))
    name, [event], snapshot = told(workspace, CONFIG)
    assert name == "transformers"
    assert isinstance(event, RunWarned)
    assert "older than Unsloth's kernels" in str(snapshot.messages)
    assert "more time and memory" in str(snapshot.messages)


def test_a_model_that_unsloth_has_no_kernels_for_is_a_warning_that_the_user_sees(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card(monkeypatch, (7, 5))
    # What a worker is: a process in which nothing was imported before the choice.
    monkeypatch.setattr(engine_choice, "PATCHED_BY_UNSLOTH", ())
    folder = tmp_path / "gpt2"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")
    row = CatalogEntry(
        name="hospital/gpt2",
        billion_parameters=0.1,
        shape=typical_shape(0.1),
        licence="MIT",
        needs_gpu=False,
        download_gib=0.0,
        note="Lies on this machine.",
        folder=str(folder),
    )
    monkeypatch.setattr(catalog, "CATALOG", (*catalog.CATALOG, row))
    name, _, snapshot = told(workspace, CONFIG.changed(model_name=row.name))
    assert name == "transformers"
    assert "no kernels of its own for a model of this type" in str(snapshot.messages)


def test_an_unsloth_that_does_not_start_is_a_warning_that_the_user_sees(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its libraries do not find the card's: it is installed and its import fails."""
    card(monkeypatch, (7, 5))
    monkeypatch.setattr(engine_choice, "PATCHED_BY_UNSLOTH", ())
    for name in ("unsloth", "unsloth_zoo"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('libcuda.so.1')\n")
    monkeypatch.syspath_prepend(tmp_path)
    # Set by our module before that import, for its process; this one goes on to other tests.
    monkeypatch.setenv("UNSLOTH_COMPILE_LOCATION", str(tmp_path / "compiled"))
    monkeypatch.setenv("UNSLOTH_DISABLE_STATISTICS", "1")
    name, _, snapshot = told(workspace, CONFIG)
    assert name == "transformers"
    assert "Unsloth is installed but does not start here (ImportError)" in str(snapshot.messages)

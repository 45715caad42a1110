"""A micro-batch that fitted is used again for runs of the same kind, and for no others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.jobs import JobSpec
from medqlora.persistence.workspace import Workspace
from medqlora.runs import found_batches as module
from medqlora.runs.found_batches import FoundBatch, FoundBatches, found_batches

CONFIG = QLoRAConfig(EMBEDDED_MODEL)
FOUND = FoundBatch(
    per_device_train_batch_size=16,
    gradient_accumulation_steps=4,
    gradient_checkpointing=False,
    engine="unsloth",
    num_tokens=1600,
    run_id="earlier",
)


def spec(workspace: Workspace, **changes: Any) -> JobSpec:
    return JobSpec(
        run_id="r",
        kind="train",
        name="a name",
        created_at="2026-11-22T10:00:00+00:00",
        config=CONFIG.changed(**changes).to_dict(),
        models_dir=str(workspace.models),
    )


@pytest.fixture
def kept(workspace: Workspace) -> FoundBatches:
    batches = found_batches(spec(workspace))
    batches.keep(FOUND)
    return batches


def record(workspace: Workspace) -> Path:
    [path] = workspace.batches.iterdir()
    return path


def test_the_same_kind_of_run_finds_it(workspace: Workspace, kept: FoundBatches) -> None:
    other_run = replace(spec(workspace, learning_rate=1e-5, seed=9), run_id="another", name="b")
    assert found_batches(other_run).find() == kept.find() == FOUND


@pytest.mark.parametrize(
    "change",
    [
        {"model_name": "owner/other"},
        {"rank": 64, "alpha": 128},
        {"max_seq_length": 1024},
        {"target_modules": ("q_proj", "v_proj")},
        {"quantization": "none"},
        {"engine": "transformers"},
        {"gradient_accumulation_steps": 8},
    ],
)
def test_other_settings_find_nothing(
    workspace: Workspace, kept: FoundBatches, change: dict[str, Any]
) -> None:
    assert found_batches(spec(workspace, **change)).find() is None


def test_another_version_finds_nothing(
    workspace: Workspace, kept: FoundBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "recorded_versions", lambda: {"torch": "99.0"})
    assert found_batches(spec(workspace)).find() is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"found": {}}',
        json.dumps({"key": {}, "found": {"per_device_train_batch_size": 16}}),
    ],
)
def test_a_damaged_record_is_as_none(workspace: Workspace, kept: FoundBatches, text: str) -> None:
    record(workspace).write_text(text, encoding="utf-8")
    assert kept.find() is None


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("found", "per_device_train_batch_size", "16"),
        ("found", "num_tokens", None),
        ("found", "invented", 1),
        ("key", "card", "another card"),
    ],
)
def test_a_record_with_another_content_is_as_none(
    workspace: Workspace, kept: FoundBatches, where: str, name: str, value: Any
) -> None:
    path = record(workspace)
    content = json.loads(path.read_text(encoding="utf-8"))
    content[where][name] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    assert kept.find() is None


def test_what_ran_out_of_memory_is_forgotten(workspace: Workspace, kept: FoundBatches) -> None:
    kept.forget()
    assert kept.find() is None
    kept.forget()  # a run that never kept anything may run out of memory too


def test_it_is_for_entries_that_need_no_more_than_was_tried() -> None:
    def suits(rows: list[int], engine: str = "unsloth", per_step: int = 64) -> bool:
        return FOUND.suits(rows, engine=engine, per_step=per_step)

    assert suits([100] * 40)
    assert suits([100] * 16 + [10] * 999)
    assert not suits([100] * 15 + [101] + [10] * 999)
    assert not suits([20] * 999)
    assert not suits([100] * 40, engine="transformers")
    assert not suits([100] * 40, per_step=32)

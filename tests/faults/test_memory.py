"""Memory runs out: the run goes on with settings that need less, or ends with clear advice."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from medqlora.domain.events import (
    Outcome,
    ParametersAdjusted,
    RunFailed,
    RunStarted,
    RunSucceeded,
    StepLogged,
)
from medqlora.persistence.adapters import AdapterSaver
from medqlora.runs.found_batches import FoundBatch, found_batches
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.process import recorded_process
from medqlora.services import Services
from tests.faults.faulty_worker import Inject
from tests.faults.runs import CONFIG, assert_one_end_each, events_of, warnings_of, weights
from tests.waiting import wait_for_end, wait_until

# Without dropout, whose random numbers depend on the micro-batch.
EXACT = CONFIG.changed(dropout=0.0, per_device_train_batch_size=4)
KEPT = FoundBatch(
    per_device_train_batch_size=4,
    gradient_accumulation_steps=1,
    gradient_checkpointing=False,
    engine="another",
    num_tokens=1,
    run_id="earlier",
)
SMALL = EXACT.changed(per_device_train_batch_size=2, gradient_accumulation_steps=2)


@pytest.mark.parametrize("where", ["gpu", "ram"])
def test_out_of_memory_at_the_first_step_ends_like_the_run_with_the_small_batch(
    services: Services, qa_file: Path, inject: Inject, where: str
) -> None:
    card = services.datasets.prepare(qa_file)
    inject("out_of_memory", rows=2, where=where)
    run_id = services.training.start(EXACT, card.dataset_id)
    kept = found_batches(services.training.directory(run_id).spec())
    kept.keep(KEPT)
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    assert kept.find() is None
    [adjusted] = events_of(services, run_id, ParametersAdjusted)
    changes = {one.name: (one.old, one.new) for one in adjusted.adjustments}
    assert changes == {
        "per_device_train_batch_size": (4, 2),
        "gradient_accumulation_steps": (1, 2),
    }
    assert any("keeps the effective batch" in one.text for one in snapshot.messages)
    first, second = events_of(services, run_id, Outcome)  # type: ignore[type-var]
    assert isinstance(first, RunFailed)
    assert first.code == "out_of_memory"
    assert "tried again by itself" in first.hint
    assert isinstance(second, RunSucceeded)
    assert_one_end_each(services, run_id)
    used = AdapterSaver.metadata(str(services.training.directory(run_id).adapter))
    assert used["training_config"]["per_device_train_batch_size"] == 2

    inject()
    small = services.training.start(SMALL, card.dataset_id)
    assert wait_for_end(services.training, small).state == "succeeded"
    assert weights(services, run_id) == weights(services, small)
    assert losses(services, run_id) == losses(services, small)


def test_out_of_memory_at_step_5_goes_on_from_the_checkpoint_and_trains_nothing_twice(
    services: Services, qa_file: Path, inject: Inject
) -> None:
    card = services.datasets.prepare(qa_file)
    inject("out_of_memory", rows=2, step=5)
    run_id = services.training.start(EXACT, card.dataset_id)
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    steps = [one.resumed_from_step for one in events_of(services, run_id, RunStarted)]
    assert steps == [0, 3]
    assert [point.x for point in snapshot.traces["loss"]] == list(range(1, 9))
    assert_one_end_each(services, run_id)

    inject()
    small = services.training.start(SMALL, card.dataset_id)
    assert wait_for_end(services.training, small).state == "succeeded"
    ours, theirs = (
        load_file(services.training.directory(one).adapter / "adapter_model.safetensors")
        for one in (run_id, small)
    )
    # Steps 1 to 3 had the large micro-batch, whose sums are rounded in another order.
    largest = max(float((ours[name] - theirs[name]).abs().max()) for name in ours)
    size = max(float(one.abs().max()) for one in theirs.values())
    assert largest < 0.02 * size
    ours_by_step, theirs_by_step = losses(services, run_id), losses(services, small)
    assert ours_by_step == pytest.approx(theirs_by_step, rel=1e-3)


def test_settings_go_down_step_by_step_until_the_run_fits(
    services: Services, qa_file: Path, inject: Inject
) -> None:
    card = services.datasets.prepare(qa_file)
    config = EXACT.changed(
        per_device_train_batch_size=2, max_seq_length=512, rank=16, alpha=32, max_steps=2
    )
    inject("out_of_memory", rank=8)
    run_id = services.training.start(config, card.dataset_id)
    # Four workers one after another, on a machine that others use too.
    wait_until(lambda: not services.training.snapshot(run_id).is_live, seconds=900)
    snapshot = services.training.snapshot(run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    changed = [one.adjustments[0] for one in events_of(services, run_id, ParametersAdjusted)]
    assert [(one.name, one.new) for one in changed] == [
        ("per_device_train_batch_size", 1),
        ("max_seq_length", 256),
        ("rank", 8),
    ]
    assert {one.resumed_from_step for one in events_of(services, run_id, RunStarted)} == {0}
    assert_one_end_each(services, run_id)


def test_batch_1_out_of_memory_ends_with_advice_and_the_next_run_starts(
    services: Services, qa_file: Path, inject: Inject
) -> None:
    card = services.datasets.prepare(qa_file)
    inject("out_of_memory", rows=0)
    config = EXACT.changed(per_device_train_batch_size=1)
    run_id = services.training.start(config, card.dataset_id)
    snapshot = wait_for_end(services.training, run_id)
    assert isinstance(snapshot.outcome, RunFailed)
    assert snapshot.outcome.code == "out_of_memory"
    assert "Choose a smaller model" in snapshot.outcome.hint
    assert "batch size 1, 128 tokens and rank 4" in snapshot.outcome.hint
    assert len(events_of(services, run_id, RunStarted)) == 1
    # Nothing is held any more: no process, no lease.
    assert recorded_process(services.training.directory(run_id).worker_file) is None
    GpuLease.acquire(services.workspace.machine_lock, holder="test").close()
    inject()
    again = services.training.start(config.changed(max_steps=1), card.dataset_id)
    assert wait_for_end(services.training, again).state == "succeeded"


def test_a_model_too_large_to_load_is_loaded_once_more_and_then_in_4_bits(
    services: Services, qa_file: Path, inject: Inject
) -> None:
    card = services.datasets.prepare(qa_file)
    inject("memory_short_in_loading", fits="4 bits", where="gpu")
    run_id = services.training.start(
        EXACT.changed(quantization="none", max_steps=1), card.dataset_id
    )
    wait_until(lambda: not services.training.snapshot(run_id).is_live, seconds=600)
    snapshot = services.training.snapshot(run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    [first, second] = events_of(services, run_id, RunFailed)
    assert {first.code, second.code} == {"out_of_memory_loading"}
    assert "tried once more by itself, in a new process" in first.hint
    assert "quantization nf4 in place of none" in second.hint
    assert "what held the memory may be gone" in warnings_of(services, run_id)
    [adjusted] = events_of(services, run_id, ParametersAdjusted)
    assert [(one.name, one.old, one.new) for one in adjusted.adjustments] == [
        ("quantization", "none", "nf4")
    ]
    assert any("a quarter of the memory" in one.text for one in snapshot.messages)
    assert_one_end_each(services, run_id)
    used = AdapterSaver.metadata(str(services.training.directory(run_id).adapter))
    assert used["training_config"]["quantization"] == "nf4"


def test_a_model_that_cannot_be_loaded_at_all_ends_with_advice_and_nothing_is_held(
    services: Services, qa_file: Path, inject: Inject
) -> None:
    card = services.datasets.prepare(qa_file)
    inject("memory_short_in_loading", fits="nothing", where="ram")
    config = EXACT.changed(per_device_train_batch_size=1, max_steps=1)
    run_id = services.training.start(config, card.dataset_id)
    wait_until(lambda: not services.training.snapshot(run_id).is_live, seconds=600)
    outcome = services.training.snapshot(run_id).outcome
    assert isinstance(outcome, RunFailed)
    assert outcome.code == "out_of_memory_loading"
    assert config.model_name in outcome.message
    assert "No smaller batch helps" in outcome.hint
    assert "use a machine with more memory" in outcome.hint  # nothing is smaller than this model
    assert len(events_of(services, run_id, RunStarted)) == 2
    assert_one_end_each(services, run_id)
    assert recorded_process(services.training.directory(run_id).worker_file) is None
    GpuLease.acquire(services.workspace.machine_lock, holder="test").close()


def test_a_stop_while_memory_runs_out_is_the_end(
    services: Services, qa_file: Path, inject: Inject
) -> None:
    card = services.datasets.prepare(qa_file)
    inject("out_of_memory", rows=2, step=2)
    run_id = services.training.start(EXACT, card.dataset_id)
    wait_until(lambda: services.training.snapshot(run_id).phase == "Loading the model")
    services.training.directory(run_id).stop_file.touch()
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state in ("stopped", "failed")
    assert snapshot.attempt == 1


def test_a_worker_that_truly_has_too_little_memory_goes_on_with_less(
    services: Services, tmp_path: Path, inject: Inject
) -> None:
    rows = [{"question": f"What is value {i}?", "answer": "usual " * 900} for i in range(120)]
    file = tmp_path / "long.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    card = services.datasets.prepare(file)
    config = EXACT.changed(per_device_train_batch_size=64, max_seq_length=1024, max_steps=1)
    # Measured: with 200 not even 2 rows fit, with 400 16 rows do and 32 do not, with 600 32 do.
    inject("little_memory", step=1, more_mib=500)
    run_id = services.training.start(config, card.dataset_id)
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    adjusted = events_of(services, run_id, ParametersAdjusted)
    assert adjusted
    assert adjusted[0].adjustments[0].new == 32
    assert_one_end_each(services, run_id)


@pytest.fixture
def small_ram() -> Iterator[Path]:
    """A memory control group, in which the system ends processes that take more than it has."""
    for folder in (Path("/sys/fs/cgroup/memory/medqlora-test"), Path("/sys/fs/cgroup/mq-test")):
        with contextlib.suppress(OSError):
            folder.mkdir()
        names = ("memory.limit_in_bytes", "memory.max")
        limit = next((folder / one for one in names if (folder / one).exists()), None)
        if limit and os.access(limit, os.W_OK):
            limit.write_text("-1" if limit.name.endswith("bytes") else "max")
            yield folder
            wait_until(lambda place=folder: not (place / "cgroup.procs").read_text(), seconds=30)
            folder.rmdir()
            return
    pytest.skip("limiting the memory of a process needs the system's administrator")


def test_a_worker_that_the_system_ends_for_want_of_ram_goes_on_with_less(
    services: Services, qa_file: Path, small_ram: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    config = EXACT.changed(max_steps=4000, save_steps=5)
    run_id = services.training.start(config, card.dataset_id)
    wait_until(lambda: services.training.snapshot(run_id).checkpoint_step >= 5)
    worker = recorded_process(services.training.directory(run_id).worker_file)
    assert worker is not None
    (small_ram / "cgroup.procs").write_text(str(worker.pid))
    name = (
        "memory.limit_in_bytes" if (small_ram / "memory.limit_in_bytes").exists() else "memory.max"
    )
    deadline = time.monotonic() + 60
    while worker.is_running() and worker.status() != "zombie" and time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # busy: what is in use cannot be taken back at once
            (small_ram / name).write_text(str(2 * 2**20))
        time.sleep(0.1)
    wait_until(lambda: len(events_of(services, run_id, RunStarted)) == 2)
    [end] = events_of(services, run_id, RunFailed)
    assert end.code == "out_of_memory"
    assert "RAM" in end.message
    [adjusted] = events_of(services, run_id, ParametersAdjusted)
    assert adjusted.adjustments[0].new == 2
    assert events_of(services, run_id, RunStarted)[1].resumed_from_step >= 5
    services.training.stop(run_id)
    assert wait_for_end(services.training, run_id).state == "stopped"
    assert_one_end_each(services, run_id)


def losses(services: Services, run_id: str) -> dict[int, float]:
    return {one.step: one.loss for one in events_of(services, run_id, StepLogged)}

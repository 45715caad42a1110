"""kill -9 at each moment of a save, damage to each file: the checkpoint before is used."""

from __future__ import annotations

from pathlib import Path

from medqlora.domain.events import RunFailed, RunStarted, RunWarned
from medqlora.persistence.checkpoints import MANIFEST
from medqlora.runs.origins import checkpoints_of
from medqlora.services import Services
from tests.faults.faulty_worker import Inject
from tests.faults.runs import CONFIG, assert_one_end_each, events_of, weights
from tests.waiting import wait_for_end, wait_until

WRITTEN_BY_THE_TRAINER = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
)
MOMENTS = (
    *({"kind": "killed_in_save", "file": name} for name in WRITTEN_BY_THE_TRAINER),
    # Writing the manifest, its renaming, the renaming of the folder, and just after it.
    {"kind": "killed_in_commit", "event": "call", "function": "write_text"},
    {"kind": "killed_in_commit", "event": "c_call", "function": "replace"},
    {"kind": "killed_in_commit", "event": "call", "function": "rename"},
    {"kind": "killed_in_commit", "event": "call", "function": "_rotate"},
)
IS_SAVED_BEFORE = ("_rotate",)


def test_a_kill_at_any_moment_of_a_save_loses_no_more_than_that_save(
    services: Services, qa_file: Path, inject: Inject
) -> None:
    training = services.training
    card = services.datasets.prepare(qa_file)
    config = CONFIG.changed(max_steps=len(MOMENTS) + 4, save_steps=1)
    reference = training.start(config, card.dataset_id)
    assert wait_for_end(training, reference).state == "succeeded"
    losses = [(one.x, one.y) for one in training.snapshot(reference).traces["loss"]]

    # Each attempt saves once and is killed in its second save.
    expected = 0
    run_id = ""
    for moment in MOMENTS:
        inject(**moment, save=2)
        if run_id:
            training.resume(run_id)
        else:
            run_id = training.start(config, card.dataset_id)
        snapshot = wait_for_end(training, run_id)
        assert isinstance(snapshot.outcome, RunFailed), moment
        assert snapshot.outcome.code == "killed", moment
        started = events_of(services, run_id, RunStarted)[-1]
        assert started.resumed_from_step == expected, moment
        expected += 2 if moment.get("function") in IS_SAVED_BEFORE else 1
    inject()
    training.resume(run_id)
    snapshot = wait_for_end(training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    assert events_of(services, run_id, RunStarted)[-1].resumed_from_step == expected
    assert weights(services, run_id) == weights(services, reference)
    assert [(one.x, one.y) for one in snapshot.traces["loss"]] == losses
    assert events_of(services, run_id, RunWarned) == []  # no half checkpoint was ever in place
    assert_one_end_each(services, run_id)


def test_damage_to_any_file_is_found_told_and_the_checkpoint_before_is_used(
    services: Services, qa_file: Path
) -> None:
    """One real worker goes on after each kind; that every file is checked, `open_attempt` shows."""
    training = services.training
    card = services.datasets.prepare(qa_file)
    config = CONFIG.changed(max_steps=4000, save_steps=2)
    run_id = training.start(config, card.dataset_id)
    wait_until(lambda: training.snapshot(run_id).checkpoint_step >= 4)
    training.stop(run_id)
    newest = wait_for_end(training, run_id).checkpoint_step
    folder = training.directory(run_id).checkpoints
    [before] = [s for s in map(step_of, folder.glob("checkpoint-*")) if s != newest]
    whole = {path.name: path.read_bytes() for path in (folder / f"checkpoint-{newest}").iterdir()}
    assert {*WRITTEN_BY_THE_TRAINER, MANIFEST} <= set(whole)
    for name, data in whole.items():
        for damage in ("missing", "empty", "half", "one bit"):
            place = folder / f"checkpoint-{newest}" / name
            spoil(place, data, damage)
            found = checkpoints_of(training.directory(run_id)).find_newest_valid()
            assert found is not None
            assert found.step == before, (name, damage)
            place.write_bytes(data)
    # Silent in the libraries: without it the run would go on with other random numbers.
    spoil(folder / f"checkpoint-{newest}" / "rng_state.pth", b"", "missing")
    training.resume(run_id)
    wait_until(lambda: len(events_of(services, run_id, RunStarted)) == 2)
    assert events_of(services, run_id, RunStarted)[-1].resumed_from_step == before
    [warned] = events_of(services, run_id, RunWarned)
    assert f"step {newest} is damaged" in warned.message
    assert f"goes on from step {before}" in warned.hint
    assert (folder / f"damaged-{newest}").is_dir()
    training.stop(run_id)
    assert wait_for_end(training, run_id).state == "stopped"


def step_of(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def spoil(file: Path, data: bytes, damage: str) -> None:
    file.unlink(missing_ok=True)
    if damage == "empty":
        file.write_bytes(b"")
    elif damage == "half":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "one bit":
        middle = len(data) // 2
        file.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])

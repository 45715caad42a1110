"""What follows an attempt that ran out of memory, decided from the run's log alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.artifacts import CheckpointOrigin
from medqlora.domain.events import (
    Event,
    ParametersAdjusted,
    PhaseChanged,
    RunFailed,
    RunStarted,
    RunStopped,
)
from medqlora.domain.jobs import JobKind, JobSpec
from medqlora.models import outlook
from medqlora.persistence.checkpoints import NEEDED, CheckpointManager
from medqlora.runs.attempts import died, open_attempt
from medqlora.runs.event_log import EventLogWriter
from medqlora.runs.retrying import (
    EXIT_DISK_FULL,
    LOADING_MODEL,
    MAX_CHANGES,
    action_before_next,
    config_in_effect,
    killed_for_memory,
    out_of_memory,
)
from medqlora.runs.run_directory import RunDirectory

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=16, max_seq_length=512, per_device_train_batch_size=2)


def directory(
    tmp_path: Path, config: QLoRAConfig = CONFIG, kind: JobKind = "train"
) -> RunDirectory:
    spec = JobSpec(
        run_id="a-run",
        kind=kind,
        name="A run",
        created_at="2026-01-01T00:00:00+00:00",
        config=config.to_dict(),
        models_dir="",
    )
    return RunDirectory.create(tmp_path / "a-run", spec)


def log(run: RunDirectory, *events: Event) -> None:
    with EventLogWriter(run.events, run_id=run.run_id) as writer:
        for event in events:
            writer.append(event)


def run_out_of_memory(run: RunDirectory) -> RunFailed:
    open_attempt(run)
    end = out_of_memory(run, "Memory ran out.")
    log(run, end)
    return end


def test_settings_go_down_one_by_one_until_nothing_is_left(tmp_path: Path) -> None:
    run = directory(tmp_path)
    hints = [run_out_of_memory(run).hint for _ in range(4)]
    assert ["tried again by itself" in hint for hint in hints] == [True, True, True, False]
    assert "batch size 1, 256 tokens and rank 8" in hints[-1]
    config = config_in_effect(run.spec(), run.read_events())
    assert (config.per_device_train_batch_size, config.gradient_accumulation_steps) == (1, 2)
    assert (config.max_seq_length, config.rank) == (256, 8)
    assert action_before_next(run) is None
    # A resume all the same starts with the smallest settings, and changes nothing more.
    open_attempt(run)
    assert config_in_effect(run.spec(), run.read_events()) == config


def test_the_rank_stays_once_there_is_a_checkpoint(tmp_path: Path) -> None:
    run = directory(tmp_path)
    hints = []
    for _ in range(3):
        hints.append(run_out_of_memory(run).hint)
        save_checkpoint(run)
    assert "rank 16 either, and is not tried again" in hints[-1]


def save_checkpoint(run: RunDirectory) -> None:
    checkpoints = CheckpointManager(
        run.checkpoints, run_id=run.run_id, origin=CheckpointOrigin(run_id=run.run_id)
    )
    checkpoints.prepare()
    staged = checkpoints.staging / "checkpoint-5"
    staged.mkdir()
    for name in NEEDED:
        (staged / name).write_text(name, encoding="utf-8")
    checkpoints.commit(5)


def test_it_is_tried_again_four_times_at_most(tmp_path: Path) -> None:
    run = directory(tmp_path, CONFIG.changed(per_device_train_batch_size=256))
    hints = [run_out_of_memory(run).hint for _ in range(MAX_CHANGES + 1)]
    assert "Choose a smaller batch size" in hints[-1]
    adjusted = [one for one in run.read_events() if isinstance(one, ParametersAdjusted)]
    assert [one.adjustments[0].new for one in adjusted] == [128, 64, 32, 16]


@pytest.mark.parametrize(
    "end",
    [
        RunStopped(step=3),
        RunFailed(code="killed", message="It was ended.", hint="Resume."),
        RunFailed(code="disk_full", message="The disk is full.", hint="Free some space."),
    ],
)
def test_after_any_other_end_nothing_changes(tmp_path: Path, end: Event) -> None:
    run = directory(tmp_path)
    run_out_of_memory(run)
    log(run, RunStarted(job="train"), end)
    assert action_before_next(run) is None


def test_an_attempt_that_is_going_on_is_not_followed(tmp_path: Path) -> None:
    run = directory(tmp_path)
    run_out_of_memory(run)
    assert action_before_next(run)
    log(run, RunStarted(job="train"))
    assert action_before_next(run) is None


def test_an_evaluation_is_not_tried_again_and_its_user_is_told_what_to_do(tmp_path: Path) -> None:
    run = directory(tmp_path, kind="evaluate")
    log(run, RunStarted(job="evaluate"))
    end = out_of_memory(run, "Memory ran out.")
    log(run, end)
    assert action_before_next(run) is None
    assert "Answers that were there are kept" in end.hint


def test_a_kill_for_want_of_ram_says_so(tmp_path: Path) -> None:
    run = directory(tmp_path)
    log(run, RunStarted(job="train"))
    end = killed_for_memory(run)
    assert end.code == "out_of_memory"
    assert "memory (RAM) ran out" in end.message
    assert "per_device_train_batch_size 1 in place of 2" in end.hint


def test_loading_is_tried_once_more_each_time_that_the_user_resumes(tmp_path: Path) -> None:
    run = directory(tmp_path)
    hints = [run_out_of_memory_in_loading(run).hint for _ in range(2)]
    assert "tried once more" in hints[0]
    assert "No smaller batch helps" in hints[1]
    assert action_before_next(run) is None
    log(run, RunStarted(job="train"), RunStopped(step=3))  # there was room, for a while
    assert "tried once more" in run_out_of_memory_in_loading(run).hint
    assert not [one for one in run.read_events() if isinstance(one, ParametersAdjusted)]


def run_out_of_memory_in_loading(run: RunDirectory) -> RunFailed:
    open_attempt(run)
    end = out_of_memory(run, "Memory ran out.", is_loading=True)
    log(run, end)
    return end


def test_the_advice_names_a_model_that_is_smaller_and_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CONFIG.changed(model_name="unsloth/Llama-3.2-3B-Instruct")
    run = directory(tmp_path, config)
    card = outlook.CARDS["T4"]
    monkeypatch.setattr("medqlora.models.compatibility.detect_gpu", lambda: card)
    hints = [run_out_of_memory_in_loading(run).hint for _ in range(2)]
    assert "choose unsloth/DeepSeek-R1-Distill-Qwen-1.5B or unsloth/Qwen3-1.7B" in hints[1]
    assert "8B" not in hints[1]


def test_a_kill_for_want_of_ram_while_loading_halves_no_batch(tmp_path: Path) -> None:
    run = directory(tmp_path)
    log(run, RunStarted(job="train"), PhaseChanged(phase=LOADING_MODEL))
    end = killed_for_memory(run)
    assert end.code == "out_of_memory_loading"
    assert "while the model was being loaded" in end.message


def test_a_worker_that_could_not_write_its_end_had_a_full_disk() -> None:
    assert died(EXIT_DISK_FULL, "train").code == "disk_full"
    assert died(-9, "train").code == "killed"
    assert died(None, "train").code == "interrupted"
    assert "SIGSEGV" in died(-11, "train").message  # a crash in a library
    assert "exit code 3" in died(3, "train").message

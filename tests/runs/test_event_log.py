"""The event log: gapless, readable while it grows, whole after a kill in the middle of a line."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest

from medqlora.domain.events import EvalLogged, PhaseChanged, RunStarted
from medqlora.errors import PersistenceError
from medqlora.runs.event_log import EventLogReader, EventLogWriter, read_events


def test_events_are_numbered_without_gaps_over_writers(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for _ in range(3):
        with EventLogWriter(path, run_id="r") as log:
            log.append(RunStarted(job="train"))
            log.append(PhaseChanged(phase="Training"))
    assert [event.seq for event in read_events(path)] == [1, 2, 3, 4, 5, 6]
    assert {event.run_id for event in read_events(path)} == {"r"}


def test_a_reader_gets_each_event_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventLogReader(path)
    assert reader.read_new() == []
    with EventLogWriter(path, run_id="r") as log:
        log.append(PhaseChanged(phase="one"))
        assert [event.seq for event in reader.read_new()] == [1]
        assert reader.read_new() == []
        log.append(PhaseChanged(phase="two"))
        assert [event.seq for event in reader.read_new()] == [2]


def test_a_torn_last_line_is_ignored_by_readers_and_cut_by_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLogWriter(path, run_id="r") as log:
        for step in range(3):
            log.append(EvalLogged(step=step, eval_loss=1.0))
    whole = path.read_bytes()
    for length in range(len(whole) - 1, len(whole) - 60, -7):
        path.write_bytes(whole[:length])
        assert [event.seq for event in read_events(path)] == [1, 2]
    with EventLogWriter(path, run_id="r") as log:
        log.append(EvalLogged(step=9, eval_loss=1.0))
    assert [event.seq for event in read_events(path)] == [1, 2, 3]


def test_threads_of_one_process_do_not_tear_each_other(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLogWriter(path, run_id="r") as log:

        def write() -> None:
            for step in range(50):
                log.append(EvalLogged(step=step, eval_loss=1.0))

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [event.seq for event in read_events(path)] == list(range(1, 201))


def _append_one(path: Path) -> None:
    with EventLogWriter(path, run_id="other") as log:
        log.append(PhaseChanged(phase="second"))


def test_a_second_writer_waits_until_the_first_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLogWriter(path, run_id="r") as log:
        other = multiprocessing.get_context("spawn").Process(target=_append_one, args=(path,))
        other.start()
        other.join(timeout=2)
        assert other.is_alive()
        log.append(PhaseChanged(phase="first"))
    other.join(timeout=20)
    assert [event.seq for event in read_events(path)] == [1, 2]


def test_a_log_whose_last_line_is_damaged_is_told_and_left_unlocked(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\0\0\0\n")
    for _ in range(2):  # a lock that was kept would make the second wait for ever
        with pytest.raises(PersistenceError, match="damaged"):
            EventLogWriter(path, run_id="a-run")
    assert path.read_bytes() == b"\0\0\0\n"

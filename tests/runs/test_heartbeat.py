"""What counts as a sign of life, in real time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medqlora.domain.events import Event, MemorySampled, PhaseChanged, RunWarned
from medqlora.errors import DiskFullError
from medqlora.runs.heartbeat import Heartbeat, Silence

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 4.0  # on machines that others use too
MEMORY = MemorySampled(source="process", used_gib=1.0, limit_gib=2.0)


class Log:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, event: Event) -> Event:
        self.events.append(event)
        return event

    @property
    def warnings(self) -> list[RunWarned]:
        return [event for event in self.events if isinstance(event, RunWarned)]


@pytest.fixture
def log() -> Log:
    return Log()


def age_after(beating: Heartbeat, path: Path, *, doing: object) -> float:
    """Seconds between the last beat and the end of `doing`."""
    with beating:
        time.sleep(0.3)
        doing()  # type: ignore[operator]
        return time.time() - path.stat().st_mtime


def busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def busy_until(condition: Callable[[], bool]) -> None:
    """Computes; the beating thread has to wait for its turn, so there is no telling how long."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        busy(0.1)


def only_wait(beat: Path) -> None:
    """What the process of the test below does; prints the beat's age and what the user is told."""
    log = Log()
    heartbeat = Heartbeat(beat, log.append, patience_seconds=PATIENCE_SECONDS)

    def wait() -> None:
        for _ in range(25):  # memory is sampled by a thread that knows nothing of the job
            heartbeat.report(MEMORY)
            time.sleep(0.2)

    print(age_after(heartbeat, beat, doing=wait), len(log.warnings))


def test_whoever_only_waits_does_not_beat_and_is_told_once(tmp_path: Path) -> None:
    # In a process of its own: this one may have a browser as its child, which computes.
    program = (
        f"from tests.runs.test_heartbeat import *; only_wait(Path({str(tmp_path / 'beat')!r}))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    age, num_warnings = told.stdout.split()
    assert float(age) > PATIENCE_SECONDS
    assert num_warnings == "1"


@pytest.mark.parametrize("how", ["computes", "has a child that computes", "writes", "tells"])
def test_a_sign_of_life_beats(tmp_path: Path, log: Log, how: str) -> None:
    heartbeat = Heartbeat(tmp_path / "beat", log.append, patience_seconds=PATIENCE_SECONDS)
    child = "import time\nend = time.time() + 2\nwhile time.time() < end: pass"

    def write() -> None:
        with (tmp_path / "download").open("wb", buffering=0) as file:
            for _ in range(20):
                file.write(bytes(100_000))
                time.sleep(0.1)

    def tell() -> None:
        for _ in range(10):
            heartbeat.report(PhaseChanged(phase="Loading"))
            time.sleep(0.2)

    doing = {
        "computes": lambda: busy(2.0),
        "has a child that computes": lambda: subprocess.run([sys.executable, "-c", child]),
        "writes": write,
        "tells": tell,
    }[how]
    assert age_after(heartbeat, tmp_path / "beat", doing=doing) < PATIENCE_SECONDS
    assert log.warnings == []


def test_a_folder_that_is_gone_for_a_while_does_not_end_the_beating(
    tmp_path: Path, log: Log
) -> None:
    folder = tmp_path / "mount"
    folder.mkdir()
    with Heartbeat(folder / "beat", log.append, patience_seconds=PATIENCE_SECONDS):
        (folder / "beat").unlink()
        folder.rename(tmp_path / "away")
        busy(0.5)
        (tmp_path / "away").rename(folder)
        busy_until((folder / "beat").exists)


def test_silence_counts_while_the_listener_listens(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    silence = Silence(beat)
    assert silence.seconds() < 0.1
    time.sleep(0.5)
    assert silence.seconds() >= 0.5
    beat.touch()
    assert silence.seconds() == 0.0
    time.sleep(3.0)  # a machine that was paused: nobody has listened
    assert silence.seconds() <= 2.0


def test_a_warning_that_cannot_be_written_does_not_end_the_beating(tmp_path: Path) -> None:
    def refuse(event: Event) -> Event:
        raise DiskFullError("The disk is full.", hint="Free some space.")

    with Heartbeat(tmp_path / "beat", refuse, patience_seconds=PATIENCE_SECONDS):
        time.sleep(PATIENCE_SECONDS)
        silent_since = (tmp_path / "beat").stat().st_mtime
        busy_until(lambda: (tmp_path / "beat").stat().st_mtime > silent_since)

"""A Colab session that ends while a model trains, and the next one on another machine.

What Colab takes away is everything at once: kernel, page and worker are killed. Here the
workspace stays; a machine that has nothing but the mirror is `test_mirrored_run`'s.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from medqlora.colab.session import LIMITS, SessionManager
from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.snapshot import RunSnapshot
from medqlora.persistence.workspace import Workspace
from medqlora.runs.process import recorded_process
from medqlora.services import Services, cells
from tests.waiting import wait_for_end, wait_for_step, wait_until

ROOT = Path(__file__).parents[2]
STEPS = 300
KERNEL = """
import sys
from pathlib import Path
from medqlora.config.qlora import QLoRAConfig
from medqlora.services import Services, cells
services = Services.open(Path(sys.argv[1]))
card = services.datasets.prepare(Path(sys.argv[2]))
cells.train(services, QLoRAConfig.from_dict(__import__("json").loads(sys.argv[3])), card.dataset_id)
"""
CONFIG = QLoRAConfig(
    EMBEDDED_MODEL, rank=4, alpha=8, max_steps=STEPS, save_steps=3, max_seq_length=128
)


@pytest.fixture
def kernel(tiny_workspace: Workspace, qa_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A kernel of an earlier session, in the middle of its training cell."""
    arguments = [str(tiny_workspace.root), str(qa_file), json.dumps(CONFIG.to_dict())]
    process = subprocess.Popen(
        [sys.executable, "-c", KERNEL, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    yield process
    for one in (process, *workers(tiny_workspace)):
        if one.is_running() if isinstance(one, psutil.Process) else one.poll() is None:
            one.kill()
    process.wait()


def workers(workspace: Workspace) -> list[psutil.Process]:
    found = (recorded_process(file) for file in workspace.runs.glob("*/worker.json"))
    return [one for one in found if one is not None]


def newest(workspace: Workspace) -> RunSnapshot | None:
    runs = Services.open(workspace.root).training.runs()
    if not runs:
        return None
    return Services.open(workspace.root).training.snapshot(runs[0].run_id)


def trains_with_a_checkpoint(workspace: Workspace) -> bool:
    snapshot = newest(workspace)
    return snapshot is not None and snapshot.checkpoint_step >= 3


def take_everything_away(kernel: subprocess.Popen[bytes], workspace: Workspace) -> None:
    [worker] = workers(workspace)
    kernel.kill()
    worker.kill()
    kernel.wait()
    wait_until(lambda: not workers(workspace), seconds=20)


def test_a_session_at_its_limit_is_announced_taken_away_and_continued_in_the_next(
    kernel: subprocess.Popen[bytes], tiny_workspace: Workspace
) -> None:
    started = time.time() - (LIMITS["free"].most_hours * 3600 - 10 * 60)
    session = SessionManager(plan="free", is_colab=True, started_at=started)
    left = session.time_left()
    assert left is not None
    assert left.is_short
    assert "Save your work" in left.message

    wait_until(lambda: trains_with_a_checkpoint(tiny_workspace))
    take_everything_away(kernel, tiny_workspace)
    over = SessionManager(
        plan="free", is_colab=True, started_at=started, clock=lambda: time.time() + 15 * 60
    ).time_left()
    assert over is not None
    assert over.seconds_left == 0

    # The next session: its guide, then what the guide says, in a kernel of its own.
    guide = SessionManager(plan="free", is_colab=True, started_at=time.time())
    assert not guide.time_left().is_short  # type: ignore[union-attr]
    steps = " ".join(guide.reconnection_guide().steps)
    assert "Resume" in steps
    services = Services.open(tiny_workspace.root)
    services.attach()
    [run] = services.training.runs()
    assert (run.state, run.can_resume) == ("failed", True)
    before = services.training.snapshot(run.run_id)
    assert before.checkpoint_step >= 3
    assert cells.resume(services) == run.run_id
    after = services.training.snapshot(run.run_id)
    assert after.state == "succeeded", after.messages
    assert after.attempt == 2
    assert [point.x for point in after.traces["loss"]][-1] == STEPS
    assert cells.save(services, run.run_id).is_file()


def test_a_kernel_that_is_killed_alone_leaves_its_training_at_work(
    kernel: subprocess.Popen[bytes], tiny_workspace: Workspace
) -> None:
    """Colab restarts a kernel that ran out of memory; the machine and its processes stay."""
    wait_until(lambda: trains_with_a_checkpoint(tiny_workspace))
    os.kill(kernel.pid, signal.SIGKILL)
    kernel.wait()
    restarted = Services.open(tiny_workspace.root)
    restarted.attach()
    run_id = restarted.training.current()
    assert run_id is not None
    seen = restarted.training.snapshot(run_id).last_step
    assert seen is not None

    def goes_on() -> bool:
        now = restarted.training.snapshot(run_id).last_step
        return now is not None and now.step > seen.step

    wait_until(goes_on)
    restarted.training.stop(run_id)
    wait_until(lambda: restarted.training.snapshot(run_id).state == "stopped")


def test_a_run_warns_once_and_saves_before_its_session_ends(
    tiny_workspace: Workspace, qa_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker itself says it, so that the log and every viewer have it."""
    ends_in = 9 * 60  # within the time at which a checkpoint is saved beyond the schedule
    started = time.time() + ends_in - LIMITS["free"].most_hours * 3600
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "colab" / "google_stand_in"))
    monkeypatch.setenv("MEDQLORA_SESSION_STARTED", str(started))
    services = Services.open(tiny_workspace.root)
    card = services.datasets.prepare(qa_file)
    never = CONFIG.changed(max_steps=1_000_000, save_steps=1_000_000)
    run_id = services.training.start(never, card.dataset_id)
    try:
        snapshot = wait_for_step(services.training, run_id, 12)
        texts = [message.text for message in snapshot.messages]
        assert sum("and the session lasts at most" in text for text in texts) == 1
        [saved] = [text for text in texts if "a checkpoint is saved" in text]
        assert "press Resume" in saved
        wait_until(lambda: services.training.snapshot(run_id).checkpoint_step > 0)
    finally:
        services.training.stop(run_id)
        assert wait_for_end(services.training, run_id).state == "stopped"


def test_a_kernel_that_is_interrupted_stops_its_training_with_a_checkpoint(
    kernel: subprocess.Popen[bytes], tiny_workspace: Workspace
) -> None:
    wait_until(lambda: trains_with_a_checkpoint(tiny_workspace))
    kernel.send_signal(signal.SIGINT)
    assert kernel.wait(timeout=120) == 0
    snapshot = newest(tiny_workspace)
    assert snapshot is not None
    assert snapshot.last_step is not None
    assert snapshot.state == "stopped"
    assert snapshot.checkpoint_step == snapshot.last_step.step
    assert workers(tiny_workspace) == []

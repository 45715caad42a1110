"""The real app over HTTP: many viewers, closed pages, servers that are told to end.

One run outlives all of it, and each of its attempts has one end.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medqlora.domain.events import Outcome
from medqlora.persistence.workspace import Workspace
from medqlora.runs.process import recorded_process
from medqlora.runs.run_directory import RunDirectory
from medqlora.services import Services
from tests.page_client import PageClient
from tests.running_app import App, free_port
from tests.waiting import wait_until

VIEWERS = 20
STEPS = 100_000


@pytest.fixture
def app(tiny_workspace: Workspace, qa_file: Path) -> Iterator[App]:
    Services.open(tiny_workspace.root).datasets.prepare(qa_file)
    running = App(tiny_workspace.root, free_port())
    running.start()
    yield running
    for run in runs(running):
        run.stop_file.touch()
    running.stop()
    wait_until(lambda: all(recorded_process(run.worker_file) is None for run in runs(running)))


def runs(app: App) -> list[RunDirectory]:
    return [RunDirectory(record.parent) for record in app.workspace.glob("runs/*/run.json")]


def ends(run: RunDirectory) -> list[Outcome]:
    return [event for event in run.read_events() if isinstance(event, Outcome)]


def last_step(run: RunDirectory) -> int:
    step = run.snapshot().last_step
    return step.step if step else 0


def wait_for_more_steps(run: RunDirectory) -> None:
    seen = last_step(run)
    wait_until(lambda: last_step(run) > seen + 1)


def ready_to_start(app: App) -> PageClient:
    page = PageClient(app.url)
    page.configure(**{"configure-max-steps": STEPS, "configure-max-seq-length": 128})
    return page


def test_one_run_through_twenty_starts_closed_pages_and_ended_servers(app: App) -> None:
    [card] = Services.open(app.workspace).datasets.cards()
    with ThreadPoolExecutor(VIEWERS) as pool:
        pages = list(pool.map(ready_to_start, [app] * VIEWERS))
        together = threading.Barrier(VIEWERS)

        def start(page: PageClient) -> None:
            together.wait()
            page.do("train-start", "click", card.dataset_id, None, "Start training")

        list(pool.map(start, pages))
    [run] = runs(app)
    wait_for_more_steps(run)
    assert all("Add to the queue" in str(page.do("tab-train", "select")) for page in pages[:2])

    # Everybody leaves: nobody is needed for training.
    for page in pages:
        page.close()
    wait_for_more_steps(run)

    # The server is told to end, is interrupted, and is killed.
    for how, code in ((signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)):
        assert app.stop(how) == code
        wait_for_more_steps(run)
        app.start()
        page = PageClient(app.url)
        assert "Training" in str(page.do("tab-train", "select"))
        page.close()
    assert ends(run) == []

    # Whoever looks may stop it; pressed five times by several, it stops once.
    pages = [PageClient(app.url) for _ in range(3)]
    for page in pages:
        page.do("tab-train", "select")
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda page: page.do("train-stop", "click"), pages))
    wait_until(lambda: run.snapshot().state == "stopped")
    wait_until(lambda: "Start training" in str(pages[0].do("tab-train", "select")))
    assert len(ends(run)) == 1
    snapshot = run.snapshot()
    assert snapshot.checkpoint_step == last_step(run)
    assert recorded_process(run.worker_file) is None
    for page in pages:
        page.close()

"""The workspace lies on a drive that hangs, is slow or is away: the page goes on, and says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from medqlora.persistence.workspace import Workspace
from tests.faults.mounted import BadDrive
from tests.mirrored_runs import FakeRun
from tests.page_client import PageClient
from tests.running_app import App, free_port
from tests.waiting import wait_until

NO_ANSWER = "The workspace folder does not answer"
NUM_VIEWERS = 8


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An app with one run, which is done."""
    workspace = Workspace.open(tmp_path / "workspace")
    run = FakeRun.begin(workspace)
    run.succeed()
    app = App(workspace.root, free_port())
    app.start()
    yield app
    assert app.process
    if app.process.poll() is None:
        assert app.stop() == 0


@pytest.fixture
def drive(app: App) -> Iterator[Callable[[str], BadDrive]]:
    """Makes a folder of the workspace a drive; see `BadDrive`."""
    drives: list[BadDrive] = []

    def mount(folder: str) -> BadDrive:
        drives.append(BadDrive(app.workspace / folder))
        return drives[-1]

    yield mount
    for one in drives:
        one.unmount()


def monitor(page: PageClient) -> tuple[str, str, float]:
    """What opening Monitor shows and says, and how long it takes."""
    begun, before = time.monotonic(), len(page.told)
    shown = str(page.do("tab-monitor", "select"))
    return shown, " ".join(page.told[before:]), time.monotonic() - begun


def all_open_monitor(pages: list[PageClient]) -> list[tuple[str, str, float]]:
    with ThreadPoolExecutor(len(pages)) as people:
        return list(people.map(monitor, pages))


@pytest.mark.parametrize("how", ["hangs", "is slow", "is away"])
def test_runs_that_cannot_be_read_hold_up_nothing_else(
    app: App, drive: Callable[[str], BadDrive], how: str
) -> None:
    pages = [PageClient(app.url) for _ in range(NUM_VIEWERS)]
    run_id = "20261122-101500-pairs-0001"
    assert run_id in monitor(pages[0])[0]
    assert app.process
    server = psutil.Process(app.process.pid)

    bad = drive("runs")
    if how == "is slow":
        bad.slow(5.0)
    if how == "is away":
        bad.vanish()
    seen = all_open_monitor(pages)
    assert all(NO_ANSWER in told for _, told, _ in seen), seen
    assert max(seconds for *_, seconds in seen) < 15
    num_threads = server.num_threads()
    for _ in range(5):
        seen = all_open_monitor(pages)
        assert all(NO_ANSWER in told for _, told, _ in seen), seen
    # The web server's own threads come with the first who need them, and stay.
    assert server.num_threads() <= num_threads + NUM_VIEWERS
    begun = time.monotonic()
    assert httpx.get(f"{app.url}config", trust_env=False, timeout=10).status_code == 200
    told = len(pages[0].told)
    assert pages[0].do("tab-configure", "select")
    assert len(pages[0].told) == told
    assert time.monotonic() - begun < 3

    bad.unmount()
    wait_until(lambda: run_id in monitor(pages[0])[0], seconds=30)
    assert all(run_id in shown for shown, *_ in all_open_monitor(pages))
    assert "Traceback" not in app.log.read_text() or how == "is away"


def test_a_whole_workspace_that_hangs_leaves_the_page_and_the_way_to_end_it(
    app: App, drive: Callable[[str], BadDrive]
) -> None:
    page = PageClient(app.url)
    drive(".")
    _, told, seconds = monitor(page)
    assert NO_ANSWER in told
    assert seconds < 15
    assert httpx.get(f"{app.url}config", trust_env=False, timeout=10).status_code == 200
    begun = time.monotonic()
    assert app.stop() == 0
    assert time.monotonic() - begun < 40

"""Runs that wait for the machine: in order, and through a restart of the server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import Outcome, RunStarted, RunStopped
from medqlora.errors import ConfigError, GpuBusyError, PersistenceError
from medqlora.runs.event_log import EventLogWriter
from medqlora.runs.gpu_lease import GpuLease
from medqlora.runs.run_directory import RunDirectory
from medqlora.services import Services
from tests.mirrored_runs import FakeRun
from tests.page_client import PageClient
from tests.running_app import App, free_port
from tests.waiting import wait_for_end, wait_for_step, wait_until

ROOT = Path(__file__).parents[2]
SHORT = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=2, save_steps=2, max_seq_length=128)
LONG = SHORT.changed(max_steps=4000)


@pytest.fixture
def services(services: Services, qa_file: Path) -> Services:
    """With a dataset."""
    services.datasets.prepare(qa_file)
    return services


def dataset(services: Services) -> str:
    [card] = services.datasets.cards()
    return card.dataset_id


def ids(services: Services) -> list[str]:
    return [one.run_id for one in services.training.queued()]


def started_at(services: Services, run_id: str) -> object:
    events = services.training.directory(run_id).read_events()
    return next(event.at for event in events if isinstance(event, RunStarted))


def test_runs_wait_in_order_with_the_settings_of_then_and_start_one_after_the_other(
    services: Services,
) -> None:
    training = services.training
    first = training.start(LONG, dataset(services))
    second = training.enqueue(SHORT, dataset(services))
    unwanted = training.enqueue(SHORT.changed(seed=7), dataset(services))
    third = training.enqueue(SHORT.changed(max_steps=3), dataset(services))
    services.attach()
    assert ids(services) == [second, unwanted, third]
    assert training.snapshot(second).state == "waiting"
    assert not training.snapshot(second).can_resume
    with pytest.raises(GpuBusyError, match="waits for its turn"):
        training.delete(second)
    training.remove_from_queue(unwanted)
    assert unwanted not in [run.run_id for run in training.runs()]
    with pytest.raises(PersistenceError):
        training.remove_from_queue(first)

    wait_for_step(training, first, 1)
    assert ids(services) == [second, third]
    training.stop(first)
    wait_until(lambda: training.snapshot(third).state == "succeeded")
    assert training.snapshot(first).state == "stopped"
    assert training.snapshot(second).state == "succeeded"
    steps = [training.snapshot(run_id).traces["loss"][-1].x for run_id in (second, third)]
    assert steps == [2, 3]
    assert started_at(services, second) < started_at(services, third)  # type: ignore[operator]
    assert ids(services) == []


def test_the_same_waits_once_however_often_and_by_whomever_it_is_added(services: Services) -> None:
    training = services.training
    lease = GpuLease.acquire(services.workspace.machine_lock, holder="the command line")
    refusals: list[str] = []

    def add() -> None:
        try:
            training.enqueue(SHORT, dataset(services))
        except ConfigError as error:
            refusals.append(str(error))

    people = [threading.Thread(target=add) for _ in range(20)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert len(ids(services)) == len(training.runs()) == 1
    assert len(refusals) == 19
    assert "waits for its turn already. To train another one, change a setting" in refusals[0]

    lease.close()
    training.enqueue(LONG, dataset(services))
    training.remove_from_queue(ids(services)[0])
    running = training.start_next()
    with pytest.raises(ConfigError, match="is going on already"):
        training.enqueue(LONG, dataset(services))
    assert running
    training.stop(running)
    wait_for_end(training, running)
    training.enqueue(LONG, dataset(services))


def test_a_run_that_cannot_start_does_not_keep_the_others_from_their_turn(
    services: Services,
) -> None:
    training = services.training
    broken = training.enqueue(SHORT, dataset(services))
    fine = training.enqueue(SHORT.changed(seed=7), dataset(services))
    training.directory(broken).events.mkdir()  # nothing can be written there
    services.queue.start()
    wait_until(lambda: training.snapshot(fine).state == "succeeded")
    assert ids(services) == []


def test_the_queue_waits_for_a_machine_that_another_process_has(services: Services) -> None:
    lease = GpuLease.acquire(services.workspace.machine_lock, holder="the command line")
    run_id = services.training.enqueue(SHORT, dataset(services))
    with pytest.raises(GpuBusyError, match="command line"):
        services.training.start_next()
    assert ids(services) == [run_id]
    lease.close()
    assert services.training.start_next() == run_id
    assert services.training.start_next() is None
    assert wait_for_end(services.training, run_id).state == "succeeded"


def test_the_command_line_adds_to_the_queue(services: Services, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    settings = {"dataset": "sample", "max_steps": 1, "max_seq_length": 128}
    config.write_text(json.dumps(settings), encoding="utf-8")
    command = ["train", "--config", str(config), "--phi", "mask", "--queue", "--json"]
    place = ["--workspace", str(services.workspace.root)]
    done = subprocess.run(
        [sys.executable, "-m", "medqlora", *command, *place],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["state"], document["position"]) == ("waiting", 1)
    assert ids(services) == [document["run_id"]]


def test_the_queue_survives_a_server_that_is_killed(services: Services) -> None:
    """Through the page: what is pressed, what is shown, and what the next server does."""
    app = App(services.workspace.root, free_port())
    app.start()
    page = PageClient(app.url)
    try:
        start_from(page, services, steps=4000, button="Start training")
        [running] = list(services.workspace.runs.glob("*"))
        shown = str(page.do("tab-train", "select"))
        assert "Add to the queue" in shown
        start_from(page, services, steps=2, button="Add to the queue")
        [queued] = ids(services)
        assert "Waiting for their turn" in str(page.do("tab-train", "select"))
        page.close()
        app.stop(signal.SIGKILL)
        app.start()
        page = PageClient(app.url)
        assert "Waiting for their turn" in str(page.do("tab-train", "select"))
        assert ids(services) == [queued]
        page.do("train-stop", "click")
        wait_until(lambda: RunDirectory(running).snapshot().state == "stopped")
        wait_until(lambda: services.training.snapshot(queued).state == "succeeded")
        assert ids(services) == []
        # A viewer who has looked at the first run is shown the next one, then offered to start.
        assert "Waiting for their turn" not in str(page.do("tab-train", "select"))
    finally:
        page.close()
        (running / "stop").touch()
        app.stop()
        wait_until(lambda: not RunDirectory(running).snapshot().is_live)


def test_a_stopped_run_waits_in_the_queue_to_go_on_and_survives_the_server_too(
    services: Services,
) -> None:
    """Another process has the machine: the page queues the resume, once for twenty presses."""
    training = services.training
    run_id = "20261122-101500-stopped-0001"
    directory = training.create(SHORT, dataset(services), path=services.workspace.runs / run_id)
    with EventLogWriter(directory.events, run_id=run_id) as log:
        log.append(RunStarted(job="train"))
        log.append(RunStopped(step=0))
    lease = GpuLease.acquire(services.workspace.machine_lock, holder="the command line")
    app = App(services.workspace.root, free_port())
    app.start()
    page, second = PageClient(app.url), PageClient(app.url)
    try:
        for one in (page, second):
            one.do("tab-train", "select")
        # Two who look at the same run press at once: the first learns that the machine is busy.
        page.do("train-resume", "click", run_id, False, "Resume")
        second.do("train-resume", "click", run_id, False, "Add to the queue, to go on")
        second.close()
        assert ids(services) == [run_id]
        shown = str(page.do("tab-train", "select"))
        assert "Waiting for their turn" in shown
        page.close()
        app.stop(signal.SIGKILL)
        app.start()
        page = PageClient(app.url)
        assert ids(services) == [run_id]
        assert len(directory.read_events()) == 2
        lease.close()
        wait_until(lambda: directory.snapshot().state == "succeeded")
        assert ids(services) == []
        turns = [
            type(one).__name__
            for one in directory.read_events()
            if isinstance(one, RunStarted | Outcome)
        ]
        assert turns == ["RunStarted", "RunStopped", "RunStarted", "RunSucceeded"]
    finally:
        page.close()
        app.stop()


def test_the_command_line_queues_a_resume(services: Services) -> None:
    run = FakeRun.begin(services.workspace)
    run.stop(3)
    command = [sys.executable, "-m", "medqlora", "resume", run.run_id, "--queue", "--json"]
    for _ in range(2):
        done = subprocess.run(
            [*command, "--workspace", str(services.workspace.root)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert (document["state"], document["position"]) == ("waiting", 1)
    assert ids(services) == [run.run_id]


def start_from(page: PageClient, services: Services, *, steps: int, button: str) -> None:
    page.configure(**{"configure-max-steps": steps, "configure-max-seq-length": 128})
    page.do("train-start", "click", dataset(services), None, None, button)

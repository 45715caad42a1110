"""What is safe and what is due is known from this machine's disk alone."""

from __future__ import annotations

import time

import pytest

from medqlora.errors import StorageUnavailableError
from medqlora.persistence.storage_address import StorageAddress
from medqlora.persistence.workspace import Workspace
from medqlora.runs.mirror_backlog import LONGEST_DELAY_SECONDS, MirrorBacklog
from medqlora.services import Services
from tests.mirrored_runs import FakeRun

DRIVE = StorageAddress("mounted", "/content/drive/MyDrive/medqlora-mirror")


@pytest.fixture
def run(workspace: Workspace) -> FakeRun:
    return FakeRun.begin(workspace)


@pytest.fixture
def backlog(workspace: Workspace, run: FakeRun) -> MirrorBacklog:
    backlog = MirrorBacklog(workspace, DRIVE)
    backlog.look()
    return backlog


def pushed(seq: int, step: int, *, is_settled: bool = True, outcome: str = "") -> dict[str, object]:
    return {
        "seq": seq,
        "step": step,
        "size_bytes": 9,
        "is_settled": is_settled,
        "outcome": outcome,
    }


def test_a_run_is_due_when_it_begins_when_it_saves_and_when_it_ends(
    backlog: MirrorBacklog, run: FakeRun
) -> None:
    assert backlog.due() == run.folder
    backlog.succeeded(run.folder, pushed(1, 0), seconds=0.1)
    backlog.look()
    assert (backlog.due(), backlog.is_safe(run.folder)) == (None, True)
    run.save(10)
    backlog.look()
    assert (backlog.due(), backlog.is_safe(run.folder)) == (run.folder, False)
    backlog.succeeded(run.folder, pushed(3, 10), seconds=0.1)
    run.stop(10)
    backlog.look()
    assert backlog.due() == run.folder
    backlog.succeeded(run.folder, pushed(4, 10, outcome="stopped"), seconds=0.1)
    assert backlog.is_safe(run.folder)


def test_a_run_under_a_name_that_cannot_be_copied_is_never_called_safe(
    workspace: Workspace, backlog: MirrorBacklog
) -> None:
    odd = FakeRun.begin(workspace, "My Run")
    backlog.look()
    assert not backlog.is_safe(odd.folder)


def test_a_clock_that_is_set_back_does_not_put_the_next_try_off(
    backlog: MirrorBacklog, run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    backlog.failed(run.folder, StorageUnavailableError("It hangs.", hint="Wait."))
    assert backlog.due() is None
    a_day_before = time.time() - 86_400
    monkeypatch.setattr("medqlora.runs.mirror_backlog.time.time", lambda: a_day_before)
    assert backlog.due() == run.folder


def test_what_is_known_survives_a_restart_and_counts_for_its_place_alone(
    backlog: MirrorBacklog, run: FakeRun, workspace: Workspace
) -> None:
    run.stop(0)
    backlog.look()
    backlog.succeeded(run.folder, pushed(2, 0, outcome="stopped"), seconds=0.1)
    for address, is_known in ((DRIVE, True), (StorageAddress("local", "/mnt/other"), False)):
        again = MirrorBacklog(workspace, address)
        again.load()
        again.look()
        assert (again.is_known, again.due() is None) == (is_known, is_known)
    (workspace.mirror / "state.json").write_text('{"runs": ')
    torn = MirrorBacklog(workspace, DRIVE)
    torn.load()
    torn.look()
    assert torn.due() == run.folder


def test_failures_are_tried_again_with_growing_and_bounded_delays(
    backlog: MirrorBacklog, run: FakeRun
) -> None:
    delays = []
    for _ in range(40):
        backlog.failed(run.folder, StorageUnavailableError("Gone.", hint="Come back."))
        delays.append(backlog.records[run.folder].next_try_at - time.time())
    assert backlog.due() is None
    assert [round(one) for one in delays[:4]] == [2, 4, 8, 16]
    assert max(delays) <= LONGEST_DELAY_SECONDS
    backlog.succeeded(run.folder, pushed(1, 0), seconds=0.1)
    assert backlog.records[run.folder].tries == 0


def test_what_drive_still_passes_on_is_not_called_safe(
    backlog: MirrorBacklog, run: FakeRun, workspace: Workspace
) -> None:
    services = Services.open(workspace.root, mirror=DRIVE.location)
    backlog.succeeded(run.folder, pushed(1, 0), seconds=0.1)
    assert services.mirror.state(run.run_id) is not None
    run.save(10)
    backlog.look()
    backlog.succeeded(run.folder, pushed(3, 10, is_settled=False), seconds=0.1)
    state = services.mirror.state(run.run_id)
    assert state is not None
    assert not state.is_safe
    assert state.message == "Not yet safe in Drive. Drive is still passing the files on."
    backlog.succeeded(run.folder, pushed(3, 10), seconds=0.1)
    state = services.mirror.state(run.run_id)
    assert state is not None
    assert state.message == "Safe in Drive up to step 10."


def test_a_run_that_goes_on_is_copied_before_older_ones(
    backlog: MirrorBacklog, run: FakeRun, workspace: Workspace
) -> None:
    over = FakeRun.begin(workspace, "20261130-101500-later-0002")
    over.stop(0)
    backlog.look()
    assert backlog.due() == run.folder
    backlog.succeeded(run.folder, pushed(1, 0), seconds=0.1)
    assert backlog.due() == over.folder

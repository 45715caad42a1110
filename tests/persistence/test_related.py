"""What belongs to a run is safe with it, and comes back with it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from medqlora.domain.events import RunWarned
from medqlora.persistence.atomic import write_json
from medqlora.persistence.cloud import CloudStorageInterface
from medqlora.persistence.mirror import Mirror
from medqlora.persistence.mirror_manifest import MirroredState
from medqlora.persistence.storage_address import StorageAddress
from medqlora.persistence.workspace import Workspace
from medqlora.runs.mirror_backlog import MirrorBacklog
from medqlora.runs.outbox import collect
from medqlora.runs.process import record_process
from medqlora.runs.related import RelatedRecords
from medqlora.runs.restoring import restore
from medqlora.runs.run_directory import RunDirectory
from medqlora.services import Services
from tests.mirrored_runs import FakeRun, contents
from tests.services.reviewing import EVALUATION, RUN, pairs, write_evaluation


@pytest.fixture
def services(workspace: Workspace) -> Services:
    return Services.open(workspace.root)


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    return tmp_path / "drive"


@pytest.fixture
def mirror(drive: Path) -> Mirror:
    mirror = Mirror(CloudStorageInterface("local", str(drive)))
    mirror.open(is_known=False)
    return mirror


@pytest.fixture
def run(workspace: Workspace) -> FakeRun:
    run = FakeRun.begin(workspace, RUN)
    run.save(10)
    run.succeed()
    return run


@pytest.fixture
def new_machine(tmp_path: Path) -> Services:
    return Services.open(tmp_path / "new-machine")


def push(mirror: Mirror, workspace: Workspace, run: FakeRun) -> MirroredState:
    related = RelatedRecords(workspace).files(run.directory)
    return mirror.push(collect(run.directory, workspace.mirror / "outbox", related))


def test_evaluations_reviews_and_the_dataset_come_back_with_the_run(
    services: Services, mirror: Mirror, new_machine: Services, qa_file: Path
) -> None:
    workspace = services.workspace
    card = services.datasets.prepare(qa_file)
    run = FakeRun.begin(workspace, RUN)
    dataset = services.datasets.folder(card.dataset_id)
    for name in ("train.jsonl", "eval.jsonl"):
        shutil.copyfile(dataset / name, run.directory.data / name)
    about = asdict(run.directory.spec())
    about["dataset"] |= {"dataset_id": card.dataset_id}
    write_json(run.directory.path / "run.json", about)
    run.stop(0)
    write_evaluation(workspace, pairs(3))
    panel = workspace.panels / "20261122-000200-panel-0000"
    shutil.copytree(workspace.evaluations / EVALUATION, panel)
    values = json.loads((panel / "run.json").read_text())
    write_json(panel / "run.json", {**values, "run_id": panel.name})
    review_id = services.review.make(EVALUATION, num_items=3, shows_reference=True)

    push(mirror, workspace, run)
    restore(mirror, new_machine.workspace, RUN)

    [evaluation] = new_machine.evaluation.evaluations()
    assert (evaluation.evaluation_id, evaluation.run_id) == (EVALUATION, RUN)
    assert new_machine.evaluation.items(EVALUATION) == services.evaluation.items(EVALUATION)
    spec = new_machine.evaluation.spec(EVALUATION)
    assert spec.models_dir == str(new_machine.workspace.models)
    assert spec.adapter_dir == str(new_machine.training.directory(RUN).adapter)
    assert [one.panel_id for one in new_machine.panel.panels()] == [panel.name]
    assert [one.review_id for one in new_machine.review.reviews()] == [review_id]
    assert new_machine.datasets.cards() == services.datasets.cards()
    back = contents(new_machine.datasets.folder(card.dataset_id))
    assert back == {
        name: data for name, data in contents(dataset).items() if not name.startswith("tokens/")
    }
    assert not (new_machine.training.directory(RUN).path / "related").exists()


def test_what_is_made_after_the_run_is_a_newer_copy_and_what_is_damaged_of_it_is_left_out(
    mirror: Mirror, workspace: Workspace, run: FakeRun, drive: Path, new_machine: Services
) -> None:
    first = push(mirror, workspace, run)
    write_evaluation(workspace, pairs(2))
    second = push(mirror, workspace, run)
    assert (first.version, second.version) == (0, 1)
    assert second.key > first.key
    before = contents(drive)
    assert push(mirror, workspace, run) == second  # and nothing is written for it
    assert contents(drive) == before
    assert [one.key for one in mirror.listing("runs").newest] == [second.key]

    write_evaluation(workspace, pairs(1), evaluation_id="20261122-000300-asked-0001")
    third = push(mirror, workspace, run)
    assert third.version == 2
    for file in drive.glob(f"runs/{RUN}/related/evaluations/20261122-000300*/*-items.jsonl"):
        file.write_bytes(b"")
    restore(mirror, new_machine.workspace, RUN)  # a damaged evaluation costs no checkpoint
    assert [one.evaluation_id for one in new_machine.evaluation.evaluations()] == [EVALUATION]
    assert new_machine.training.directory(RUN).adapter.is_dir()
    [warned] = [
        one
        for one in new_machine.training.directory(RUN).read_events()
        if isinstance(one, RunWarned)
    ]
    assert "were left out" in warned.message
    assert push(mirror, workspace, run).version == 2  # which is mended by the next push
    another = Services.open(new_machine.workspace.root.parent / "another-machine")
    restore(mirror, another.workspace, RUN)
    assert len(another.evaluation.evaluations()) == 2


def test_an_evaluation_makes_its_run_due_once_it_is_over(
    workspace: Workspace, run: FakeRun
) -> None:
    backlog = MirrorBacklog(workspace, StorageAddress("local", "/somewhere"))
    done = {"seq": 9, "step": 10, "size_bytes": 9, "is_settled": True, "outcome": "succeeded"}
    backlog.look()
    backlog.succeeded(run.folder, done, seconds=0.1)
    assert backlog.is_safe(run.folder)
    write_evaluation(workspace, pairs(2), is_over=False)
    evaluation = RunDirectory(workspace.evaluations / EVALUATION)
    worker = psutil.Popen(["sleep", "60"])
    record_process(evaluation.worker_file, worker)
    backlog.look()
    assert backlog.is_safe(run.folder)  # it is going on
    worker.kill()
    worker.wait()
    backlog.look()
    assert (backlog.is_safe(run.folder), backlog.due()) == (False, run.folder)
    backlog.succeeded(run.folder, done, seconds=0.1)
    later = MirrorBacklog(workspace, StorageAddress("local", "/somewhere"))
    later.load()
    later.look()
    assert later.is_safe(run.folder)
    shutil.rmtree(evaluation.path)
    later.look()
    assert later.due() == run.folder


@pytest.mark.parametrize(
    "changes",
    [{"dataset": {"run_id": "another"}}, {"kind": "train"}, {"run_id": "another"}, {"name": 3}],
)
def test_a_record_that_is_none_of_the_runs_is_left_out_and_told(
    mirror: Mirror,
    workspace: Workspace,
    run: FakeRun,
    new_machine: Services,
    changes: dict[str, object],
) -> None:
    write_evaluation(workspace, pairs(1))
    forged = workspace.root / "forged.json"
    values = json.loads((workspace.evaluations / EVALUATION / "run.json").read_text())
    write_json(forged, {**values, **changes})
    related = RelatedRecords(workspace).files(run.directory)
    related[f"related/evaluations/{EVALUATION}/run.json"] = forged
    mirror.push(collect(run.directory, workspace.mirror / "outbox", related))
    restore(mirror, new_machine.workspace, RUN)
    assert new_machine.evaluation.evaluations() == ()
    events = new_machine.training.directory(RUN).read_events()
    assert [one.message[:9] for one in events if isinstance(one, RunWarned)] == ["1 records"]


def test_what_is_here_already_stays_as_it_is(
    mirror: Mirror, workspace: Workspace, run: FakeRun, new_machine: Services
) -> None:
    write_evaluation(workspace, pairs(3))
    push(mirror, workspace, run)
    write_evaluation(new_machine.workspace, pairs(1))
    restore(mirror, new_machine.workspace, RUN)
    assert len(new_machine.evaluation.items(EVALUATION)) == 1


def test_a_record_of_another_run_is_not_copied(workspace: Workspace, run: FakeRun) -> None:
    write_evaluation(workspace, pairs(1))
    other = FakeRun.begin(workspace, "20261122-000900-other-0000")
    related = RelatedRecords(workspace)
    assert related.files(other.directory) == {}
    assert related.files(run.directory)

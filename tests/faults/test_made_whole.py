"""kill -9 at each file operation of making or deleting something: it is whole, or not there."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from medqlora.domain.preparing import Choices
from medqlora.persistence.whole_folders import made_whole, sweep
from medqlora.persistence.workspace import Workspace
from medqlora.runs.run_directory import RunDirectory
from medqlora.services import Services
from medqlora.services.jobs import JobService
from tests.attacks.test_foreign_adapters import Zip
from tests.faults.runs import CONFIG, assert_one_end_each
from tests.mirrored_runs import FakeRun, contents
from tests.services.reviewing import pairs, write_evaluation
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


def killed(workspace: Workspace, what: str, *arguments: str) -> int:
    """Does it, killed at each moment; returns how often. See `killed_maker`."""
    command = [sys.executable, "-m", "tests.faults.killed_maker", str(workspace.root), what]
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def halves(folder: Path) -> list[Path]:
    return list(folder.glob(".unfinished-*"))


def restarted(workspace: Workspace) -> Services:
    """The services after the start of a server, but for the queue, which would begin to work."""
    services = Services.open(workspace.root)
    for jobs in (services.training, services.evaluation, services.panel, services.benchmarks):
        jobs.attach()
    services.datasets.attach()
    return services


def test_a_run_that_was_being_queued_waits_with_all_its_data_or_is_not_there(
    services: Services, qa_file: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    runs = services.workspace.runs
    assert killed(services.workspace, "enqueue", card.dataset_id) > 20
    assert len(halves(runs)) > 20
    services = restarted(services.workspace)
    training = services.training
    assert halves(runs) == []
    queued = [one.run_id for one in training.queued()]
    assert queued, "one was not killed"
    assert {one.name for one in runs.iterdir()} == {*queued}
    assert {one.run_id for one in training.runs()} == {*queued}
    for run_id in queued:
        directory = training.directory(run_id)
        whole = contents(services.datasets.folder(card.dataset_id))
        entries = {name: whole[name] for name in ("train.jsonl", "eval.jsonl")}
        assert contents(directory.data) == entries
    first, *others = queued
    for run_id in others:
        training.remove_from_queue(run_id)
    services.queue.start()
    wait_until(lambda: training.snapshot(first).state == "succeeded")
    services.close()


def test_a_run_that_was_being_started_can_go_on_or_is_not_there(
    services: Services, qa_file: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    runs = services.workspace.runs
    assert killed(services.workspace, "start", card.dataset_id) > 20
    assert len(halves(runs)) > 10
    services = restarted(services.workspace)
    training = services.training
    assert halves(runs) == []
    known = training.runs()
    assert {one.run_id for one in known} == {one.name for one in runs.iterdir()}
    assert {one.state for one in known} == {"failed"}
    assert len(known) > 1
    first = known[-1].run_id  # killed as soon as it was in place
    assert training.snapshot(first).can_resume
    assert training.snapshot(first).attempt == 0
    training.resume(first)
    wait_until(lambda: not training.snapshot(first).is_live)
    assert training.snapshot(first).state == "succeeded"
    assert_one_end_each(services, known[0].run_id)


@pytest.mark.parametrize(
    ("what", "kind", "files"),
    [
        ("evaluate", "evaluation", {"run.json", "data/queries.jsonl"}),
        ("panel", "panel", {"run.json", "data/queries.jsonl"}),
        ("exam", "benchmarks", {"run.json"}),  # its worker draws the questions
    ],
)
def test_what_is_asked_of_a_run_is_whole_or_not_there(
    workspace: Workspace, what: str, kind: str, files: set[str]
) -> None:
    run = FakeRun.begin(workspace)
    run.succeed()
    more = ["medqa"] if what == "exam" else []
    assert killed(workspace, what, run.run_id, *more) > 10
    jobs: JobService = getattr(restarted(workspace), kind)
    folders = [one.path for one in jobs.directories()]
    assert folders, "the last ones were in place"
    assert {*folders} == {*folders[0].parent.iterdir()}
    for one in jobs.directories():
        assert {*contents(one.path)} - {"worker.log"} == {*files, "events.jsonl"}
        assert jobs.snapshot(one.run_id).can_resume


def test_a_review_is_whole_or_not_there(workspace: Workspace) -> None:
    evaluation_id = write_evaluation(workspace, pairs(5))
    assert killed(workspace, "review", evaluation_id) > 5
    services = Services.open(workspace.root)
    services.attach()
    reviews = services.review.reviews()
    assert services.review.unreadable == ()
    assert {one.review_id for one in reviews} == {one.name for one in workspace.reviews.iterdir()}
    services.close()


def test_an_adapter_that_comes_in_is_whole_or_not_there(
    tiny_workspace: Workspace, tmp_path: Path
) -> None:
    workspace = tiny_workspace
    assert killed(workspace, "import_adapter", str(Zip(tmp_path).plain().closed())) > 20
    assert halves(workspace.uploads)
    services = Services.open(workspace.root)
    services.attach()
    assert list(workspace.uploads.iterdir()) == []
    known = services.training.runs()
    assert {one.run_id for one in known} == {one.name for one in workspace.runs.iterdir()}
    assert {one.state for one in known} == {"succeeded"}
    for one in known:
        services.library.export(services.training.directory(one.run_id), tmp_path)
    services.close()


def test_a_run_that_is_deleted_or_taken_out_of_the_queue_is_whole_or_gone(
    services: Services, qa_file: Path
) -> None:
    card = services.datasets.prepare(qa_file)
    runs = services.workspace.runs
    ids = [
        services.training.enqueue(CONFIG.changed(seed=seed), card.dataset_id) for seed in range(50)
    ]
    files = {*contents(runs / ids[0])}
    left = {*ids}
    for deed, marks in (("take_newest_out_of_queue", {"queued"}), ("delete_newest", set())):
        assert killed(services.workspace, deed) > 5
        training = restarted(services.workspace).training
        assert halves(runs) == []
        before, left = left, {one.run_id for one in training.runs()}
        assert left < before
        assert left
        assert left == {one.name for one in runs.iterdir()}
        for run_id in left:
            assert {*contents(runs / run_id)} - {"events.jsonl"} == files - {"queued"} | marks
            RunDirectory(runs / run_id).queued.unlink(missing_ok=True)
        restarted(services.workspace)  # writes that they were interrupted


def test_a_draft_and_a_dataset_are_whole_or_not_there(services: Services, qa_file: Path) -> None:
    imports = services.datasets.imports
    draft_id = imports.start_import(qa_file)
    imports.wait(draft_id)
    whole = contents(imports.directory(draft_id).draft)
    job_id = imports.start_preparing(draft_id, Choices())
    imports.wait(job_id)
    card = services.datasets.prepared(job_id)
    data = contents(services.datasets.folder(card.dataset_id))

    services.datasets.delete(card.dataset_id)
    assert killed(services.workspace, "do_job", job_id) > 10
    services = restarted(services.workspace)
    assert [one.dataset_id for one in services.datasets.cards()] == [card.dataset_id]
    made = contents(services.datasets.folder(card.dataset_id))
    assert {*made} == {*data}
    assert made["train.jsonl"] == data["train.jsonl"]
    assert halves(services.workspace.datasets) == []
    assert {one.draft_id for one in services.datasets.imports.drafts()} == {draft_id}
    assert contents(services.datasets.imports.directory(draft_id).draft) == whole


def test_a_killed_import_leaves_nothing_at_the_next_start(
    workspace: Workspace, qa_file: Path
) -> None:
    assert killed(workspace, "start_import", str(qa_file)) > 5
    services = restarted(workspace)
    assert list(workspace.imports.iterdir()) == []
    assert services.datasets.prepare(qa_file).num_train == 36


def test_what_somebody_else_is_making_is_not_swept(tmp_path: Path) -> None:
    is_filling, may_end = threading.Event(), threading.Event()

    def make() -> None:
        with made_whole(tmp_path / "made") as folder:
            (folder / "first").touch()
            is_filling.set()
            may_end.wait()
            (folder / "second").touch()

    maker = threading.Thread(target=make)
    maker.start()
    is_filling.wait()
    sweep(tmp_path)
    assert not (tmp_path / "made").exists()
    may_end.set()
    maker.join()
    assert {*contents(tmp_path)} == {"made/first", "made/second"}

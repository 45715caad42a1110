"""A file becomes a draft and a draft a dataset, in workers that can be cancelled and killed."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.preparing import Choices
from medqlora.errors import (
    DataError,
    GpuBusyError,
    MappingNeededError,
    PersistenceError,
    PhiDecisionNeededError,
)
from medqlora.persistence.workspace import Workspace
from medqlora.runs.gpu_lease import GpuLease
from medqlora.services import Services
from medqlora.services.datasets import DatasetService
from medqlora.services.imports import KEEP_CONFIRMATION, ImportService
from tests.services.importing import (
    PATIENT,
    PHONE,
    clean_rows,
    file_with_patients,
    files_below,
    long_file,
    wait_for_rows,
    write_rows,
)
from tests.waiting import wait_until


@pytest.fixture
def datasets(workspace: Workspace) -> DatasetService:
    return DatasetService(workspace)


def imported(imports: ImportService, path: Path) -> str:
    draft_id = imports.start_import(path)
    imports.wait(draft_id)
    return draft_id


def test_a_draft_says_what_the_file_holds_and_decides_nothing(
    datasets: DatasetService, tmp_path: Path
) -> None:
    path = file_with_patients(tmp_path)
    draft_id = imported(datasets.imports, path)
    draft = datasets.imports.draft(draft_id)
    assert (draft.provenance.name, draft.provenance.format) == ("patients.jsonl", "jsonl")
    assert draft.provenance.num_bytes == path.stat().st_size
    assert (draft.num_entries, draft.validation.counts.valid) == (40, 40)
    assert draft.phi.num_rows == 40
    assert draft.phi.num_rows_with_phi == 4
    assert draft.phi.rows_by_kind["phone"] == 4
    examples = datasets.imports.phi_examples(draft_id, "phone")
    assert [one.row for one in examples] == [1, 2, 3, 4]
    assert examples[0].part == "answer"
    assert PHONE in examples[0].before + examples[0].text + examples[0].after
    rows = datasets.imports.rows(draft_id, start=3, limit=2)
    assert [(row.number, row.num_findings > 0) for row in rows] == [(4, True), (5, False)]
    assert datasets.imports.drafts() == (draft,)
    assert datasets.cards() == ()


def test_nothing_is_prepared_before_somebody_says_what_to_do_with_phi(
    datasets: DatasetService, tmp_path: Path
) -> None:
    path = file_with_patients(tmp_path)
    with pytest.raises(PhiDecisionNeededError, match="4 rows") as needed:
        datasets.prepare(path)
    assert needed.value.spans_by_kind["phone"] == 4
    with pytest.raises(DataError, match="typed confirmation"):
        datasets.prepare(path, choices=Choices(phi="keep", phi_confirmation="yes"))
    assert datasets.cards() == ()


def texts(datasets: DatasetService, dataset_id: str) -> str:
    return "".join(
        (datasets.folder(dataset_id) / f"{side}.jsonl").read_text(encoding="utf-8")
        for side in ("train", "eval")
    )


def test_phi_is_masked_replaced_dropped_or_kept_and_the_record_says_so(
    datasets: DatasetService, tmp_path: Path
) -> None:
    path = file_with_patients(tmp_path)
    masked = datasets.prepare(path, choices=Choices(phi="mask"))
    assert PHONE not in texts(datasets, masked.dataset_id)
    assert texts(datasets, masked.dataset_id).count("[PHONE]") == 4
    replaced = datasets.prepare(path, choices=Choices(phi="surrogate"))
    assert PHONE not in texts(datasets, replaced.dataset_id)
    assert "[PHONE]" not in texts(datasets, replaced.dataset_id)
    dropped = datasets.prepare(path, choices=Choices(phi="drop"))
    assert dropped.num_train + dropped.num_eval == 36
    kept = datasets.prepare(
        path, choices=Choices(phi="keep", phi_confirmation=KEEP_CONFIRMATION, licence="Ours.")
    )
    assert texts(datasets, kept.dataset_id).count(PHONE) == 4
    assert kept.licence == "Ours."
    for card, action in ((masked, "mask"), (replaced, "surrogate"), (dropped, "drop")):
        assert card.screening is not None
        assert (card.screening.action, card.screening.rows_touched) == (action, 4)
        assert card.screening.num_rows == 40
        assert card.screening.confirmation is None
    assert dropped.screening is not None
    assert dropped.screening.rows_dropped == 4
    assert kept.screening is not None
    assert kept.screening.confirmation == KEEP_CONFIRMATION


def test_no_text_of_a_row_reaches_a_log_or_a_card(datasets: DatasetService, tmp_path: Path) -> None:
    draft_id = imported(datasets.imports, file_with_patients(tmp_path))
    job_id = datasets.imports.start_preparing(draft_id, Choices(phi="mask"))
    datasets.imports.wait(job_id)
    card = datasets.prepared(job_id)
    written = [datasets.folder(card.dataset_id) / "dataset.json"]
    for one in (draft_id, job_id):
        directory = datasets.imports.directory(one)
        written += [directory.events, directory.worker_log, directory.path / "run.json"]
    for file in written:
        text = file.read_text(encoding="utf-8")
        assert PHONE not in text, file
        assert PATIENT not in text, file


def test_the_sample_is_screened_like_any_other_file_and_nothing_is_found(
    datasets: DatasetService,
) -> None:
    card = datasets.prepare(None)
    assert card.screening is not None
    assert (card.screening.num_rows, card.screening.rows_touched) == (253, 0)


def test_what_cleaning_uncovers_is_screened_again(datasets: DatasetService, tmp_path: Path) -> None:
    rows = clean_rows(20)
    # No telephone number as long as a tag stands in the middle of it.
    rows[0]["answer"] = "Call (555) 0<b></b>13-4477 for the result of the test."
    draft_id = imported(datasets.imports, write_rows(tmp_path / "tags.jsonl", rows))
    draft = datasets.imports.draft(draft_id)
    assert draft.mendable == {"html": 1}
    assert "phone" not in draft.phi.spans_by_kind
    [example] = datasets.imports.cleaning_examples(draft_id)["html"]
    assert ("<b>" in example.before, "<b>" in example.after) == (True, False)
    choices = Choices(cleaning=("html",), phi="mask")
    job_id = datasets.imports.start_preparing(draft_id, choices)
    datasets.imports.wait(job_id)
    card = datasets.prepared(job_id)
    assert card.cleaning is not None
    assert (card.cleaning.num_rows_changed, dict(card.cleaning.counts)) == (1, {"html": 1})
    assert "[PHONE]" in texts(datasets, card.dataset_id)


def test_cleaning_may_leave_repeats_out(datasets: DatasetService, tmp_path: Path) -> None:
    rows = [*clean_rows(20), *clean_rows(5)]
    path = write_rows(tmp_path / "repeats.jsonl", rows)
    with_repeats = datasets.prepare(path)
    without = datasets.prepare(path, choices=Choices(cleaning=("dup_exact",)))
    assert with_repeats.num_train + with_repeats.num_eval == 25
    assert without.num_train + without.num_eval == 20
    assert without.cleaning is not None
    assert without.cleaning.num_rows_dropped == 5


def test_columns_that_cannot_be_told_are_asked_about(
    datasets: DatasetService, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    rows = "".join(f"What is sign {n}?,A usual finding.\n" for n in range(9))
    path.write_text(f"alpha,beta\n{rows}", encoding="utf-8")
    draft_id = datasets.imports.start_import(path)
    with pytest.raises(MappingNeededError) as needed:
        datasets.imports.wait(draft_id)
    assert needed.value.columns == ("alpha", "beta")
    assert "What is sign 0?" in needed.value.samples["alpha"]
    with pytest.raises(MappingNeededError):
        datasets.imports.draft(draft_id)
    log = datasets.imports.directory(draft_id).events.read_text(encoding="utf-8")
    assert "What is sign" not in log


def test_a_cancelled_import_leaves_nothing_of_the_file(
    datasets: DatasetService, tmp_path: Path
) -> None:
    imports = datasets.imports
    job_id = imports.start_import(long_file(tmp_path))
    worker = wait_for_rows(imports, job_id)
    children = worker.children(recursive=True)
    imports.stop(job_id)
    wait_until(lambda: not imports.snapshot(job_id).is_live, seconds=20)
    assert imports.snapshot(job_id).state == "stopped"
    with pytest.raises(PersistenceError, match="stopped before it was done"):
        imports.draft(job_id)
    assert not imports.directory(job_id).partial.exists()
    assert not {"rows.jsonl", "draft.json"} & files_below(imports.directory(job_id).path)
    wait_until(lambda: not any(map(is_at_work, children)), seconds=20)
    imports.sweep(is_start=True)
    assert imports.directories() == ()


def is_at_work(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_a_killed_import_leaves_is_swept_with_the_next_one(
    datasets: DatasetService, tmp_path: Path, qa_file: Path
) -> None:
    imports = datasets.imports
    job_id = imports.start_import(long_file(tmp_path))
    worker = wait_for_rows(imports, job_id)
    children = worker.children(recursive=True)
    worker.kill()
    wait_until(lambda: not imports.snapshot(job_id).is_live, seconds=20)
    with pytest.raises(Exception, match="memory") as failed:
        imports.draft(job_id)
    assert "resume" not in str(failed.value)
    assert imports.drafts() == ()
    assert "rows.jsonl" in files_below(imports.directory(job_id).partial)
    wait_until(lambda: not any(map(is_at_work, children)), seconds=20)
    card = datasets.prepare(qa_file)  # an import of something else
    assert card.num_train == 36
    assert not imports.directory(job_id).partial.exists()


def test_a_server_that_restarts_finds_its_import_and_its_drafts(
    datasets: DatasetService, workspace: Workspace, tmp_path: Path, qa_file: Path
) -> None:
    kept = imported(datasets.imports, qa_file)
    failed = datasets.imports.start_import(write_rows(tmp_path / "empty.jsonl", []))
    with pytest.raises(DataError):
        datasets.imports.wait(failed)
    running = datasets.imports.start_import(long_file(tmp_path))
    wait_for_rows(datasets.imports, running)
    doomed = workspace.datasets / ".unfinished-of-long-ago"
    doomed.mkdir()

    restarted = Services.open(workspace.root)
    restarted.attach()
    assert restarted.datasets.imports.current() == running
    assert [one.draft_id for one in restarted.datasets.imports.drafts()] == [kept]
    assert not doomed.exists()
    assert {one.run_id for one in restarted.datasets.imports.directories()} == {kept, running}
    restarted.datasets.imports.stop(running)
    wait_until(lambda: not restarted.datasets.imports.snapshot(running).is_live, seconds=20)
    job_id = restarted.datasets.imports.start_preparing(kept, Choices())
    restarted.datasets.imports.wait(job_id)
    assert restarted.datasets.prepared(job_id).num_train == 36


def test_two_imports_at_once_and_a_machine_that_is_taken_do_not_matter(
    datasets: DatasetService, workspace: Workspace, tmp_path: Path, qa_file: Path
) -> None:
    lease = GpuLease.acquire(workspace.machine_lock, holder="a training")
    other = write_rows(tmp_path / "other.jsonl", clean_rows(30))
    first, second = (datasets.imports.start_import(path) for path in (qa_file, other))
    for one in (first, second):
        datasets.imports.wait(one)
    assert {one.num_entries for one in datasets.imports.drafts()} == {40, 30}
    lease.close()


def test_no_more_than_a_few_files_are_read_at_once(
    datasets: DatasetService, tmp_path: Path
) -> None:
    path = long_file(tmp_path)
    running = [datasets.imports.start_import(path) for _ in range(4)]
    with pytest.raises(GpuBusyError, match="4 files"):
        datasets.imports.start_import(path)
    for one in running:
        datasets.imports.stop(one)
    for one in running:
        wait_until(lambda one=one: not datasets.imports.snapshot(one).is_live, seconds=60)


def test_token_counts_never_keep_anybody_from_reading_a_file(
    datasets: DatasetService, qa_file: Path
) -> None:
    draft_id = imported(datasets.imports, qa_file)
    counts = [datasets.start_measuring(draft_id, "nobody/has-this") for _ in range(5)]
    another = datasets.imports.start_import(qa_file)
    for one in (*counts, another):
        wait_until(lambda one=one: not datasets.imports.snapshot(one).is_live, seconds=60)
    assert datasets.imports.draft(another).num_entries == 40


def test_a_dataset_that_was_not_screened_is_not_trained_on(
    workspace: Workspace, qa_file: Path
) -> None:
    services = Services.open(workspace.root)
    card = services.datasets.prepare(qa_file)
    file = services.datasets.folder(card.dataset_id) / "dataset.json"
    # What a version without the PHI screen wrote.
    new = ("used_at", "provenance", "cleaning", "screening", "split", "overlaps", "licence")
    fields = {name: value for name, value in asdict(card).items() if name not in new}
    file.write_text(json.dumps(fields), encoding="utf-8")
    assert services.datasets.card(card.dataset_id).screening is None
    config = QLoRAConfig(EMBEDDED_MODEL)
    with pytest.raises(DataError, match="not screened") as refused:
        services.training.start(config, card.dataset_id)
    assert "Dataset tab" in refused.value.hint
    assert services.training.runs() == ()


def test_the_card_says_where_it_came_from_and_how_it_was_split(
    datasets: DatasetService, tmp_path: Path
) -> None:
    rows = [
        {**row, "patient_id": f"P{i % 10}", "specialty": ("renal", "cardiac")[i % 2]}
        for i, row in enumerate(clean_rows(60))
    ]
    path = write_rows(tmp_path / "notes.jsonl", rows)
    benchmark = write_rows(tmp_path / "benchmark.jsonl", clean_rows(3))
    draft_id = imported(datasets.imports, path)
    assert datasets.imports.draft(draft_id).hints.labels == ("specialty",)
    assert datasets.imports.draft(draft_id).hints.groups == ("patient_id",)
    choices = Choices(eval_share=0.2, benchmarks=(str(benchmark),), licence="CC BY 4.0")
    job_id = datasets.imports.start_preparing(draft_id, choices)
    datasets.imports.wait(job_id)
    card = datasets.prepared(job_id)
    assert card.provenance is not None
    assert card.provenance.sha256 == card.source_sha256
    assert card.split is not None
    assert (card.split.label, card.split.group, card.split.num_groups) == (
        "specialty",
        "patient_id",
        10,
    )
    assert card.split.eval_labels == {"renal": 6, "cardiac": 6}
    sides = [
        {int(one.question.split()[-2]) % 10 for one in datasets.entries(card.dataset_id, side)}
        for side in ("train", "eval")
    ]
    assert not sides[0] & sides[1]
    held_out, named = card.overlaps
    assert (held_out.num_exact, held_out.num_normalised) == (0, 0)
    assert named.benchmark == "benchmark.jsonl"
    assert named.num_items == 3
    in_training = {one.question for one in datasets.entries(card.dataset_id, "train")}
    asked = {str(row["question"]) for row in clean_rows(3)}
    assert named.num_exact == len(in_training & asked)
    again = datasets.imports.start_preparing(draft_id, replace(choices, licence="Another note."))
    datasets.imports.wait(again)
    assert datasets.prepared(again).dataset_id == card.dataset_id
    assert len(datasets.cards()) == 1


def test_patients_stay_together_although_their_numbers_are_masked_and_left_out(
    datasets: DatasetService, tmp_path: Path
) -> None:
    rows: list[dict[str, object]] = [
        {
            "MRN": f"MRN {4839200 + number % 12}",
            "patient name": "John Smith",
            "question": f"What about value {number}?",
            "answer": f"It is normal for {number}.",
        }
        for number in range(60)
    ]
    card = datasets.prepare(write_rows(tmp_path / "notes.jsonl", rows), choices=Choices(phi="mask"))
    assert card.split
    assert (card.split.group, card.split.label) == ("MRN", "")
    sides = [
        {int(one.question.split()[-1][:-1]) % 12 for one in datasets.entries(card.dataset_id, side)}
        for side in ("train", "eval")
    ]
    assert all(sides)
    assert not sides[0] & sides[1]
    for line in (datasets.folder(card.dataset_id) / "train.jsonl").read_text().splitlines():
        assert json.loads(line)["metadata"] == {}

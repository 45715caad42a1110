"""Token counts and the template proof are those of training, found in a worker."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.data.tokenizer import MedicalTokenizer
from medqlora.domain.events import RunFailed
from medqlora.errors import DataError, ModelError
from medqlora.models import embedded
from medqlora.models.tokenizers import load_tokenizer
from medqlora.persistence.workspace import Workspace
from medqlora.services import Services
from medqlora.training.encoding import encoded_dataset
from tests.services.importing import clean_rows, write_rows
from tests.waiting import wait_for_end


@pytest.fixture
def services(tiny_workspace: Workspace) -> Services:
    return Services.open(tiny_workspace.root)


def measured(services: Services, path: Path) -> str:
    card = services.datasets.prepare(path)
    job_id = services.datasets.start_measuring(card.dataset_id, EMBEDDED_MODEL)
    services.datasets.imports.wait(job_id)
    return card.dataset_id


def test_lengths_and_proofs_are_those_of_the_rows_that_training_gets(
    services: Services, qa_file: Path, tmp_path: Path
) -> None:
    datasets = services.datasets
    card = datasets.prepare(qa_file)
    assert datasets.lengths(card.dataset_id, EMBEDDED_MODEL, 64) is None
    assert datasets.proofs(card.dataset_id, EMBEDDED_MODEL, 64) == ()
    dataset_id = measured(services, qa_file)
    source = str(embedded.folder(services.workspace.models))
    raw = load_tokenizer(source, model_name=EMBEDDED_MODEL)
    entries = datasets.entries(dataset_id, "train")
    whole = [MedicalTokenizer(raw, max_seq_length=10_000).encode(one) for one in entries]
    longest = max(len(one.input_ids) for one in whole)

    report = datasets.lengths(dataset_id, EMBEDDED_MODEL, longest - 2)
    assert report is not None
    assert (report.num_entries, report.longest) == (36, longest)
    assert sum(report.counts) == 36
    assert report.answer_tokens == sum(one.num_trained for one in whole)
    cut = [one.cut_to(longest - 2) for one in whole]
    assert report.num_cut == sum(one.num_cut > 0 for one in cut) > 0
    assert report.answer_tokens_cut == sum(one.num_cut for one in cut)
    assert report.length_for_99 == longest

    rows = encoded_dataset(
        entries,
        MedicalTokenizer(raw, max_seq_length=longest - 2),
        tmp_path / "rows.arrow",
        report=lambda _: None,
    )
    for proof in datasets.proofs(dataset_id, EMBEDDED_MODEL, longest - 2):
        trained_on = rows[proof.row - 1]
        kept = [token for token in proof.tokens if not token.is_cut]
        assert [token.token_id for token in kept] == trained_on["input_ids"]
        assert [token.is_trained for token in kept] == [
            label != -100 for label in trained_on["labels"]
        ]
        assert proof.num_trained == sum(token.is_trained for token in kept)
        text = "".join(token.text for token in proof.tokens)
        entry = entries[proof.row - 1]
        assert text.startswith(f"<|im_start|>user\n{entry.question}<|im_end|>")
        assert text.endswith(f"{entry.answer}<|im_end|>")
        learned = "".join(token.text for token in proof.tokens if token.is_trained)
        assert proof.num_cut or learned == f"{entry.answer}<|im_end|>"


def test_a_character_of_several_tokens_is_shown_once(services: Services, tmp_path: Path) -> None:
    rows = [
        {**row, "answer": f"体温 37 °C, né {i} 🩺 fine."} for i, row in enumerate(clean_rows(9))
    ]
    dataset_id = measured(services, write_rows(tmp_path / "letters.jsonl", rows))
    entries = services.datasets.entries(dataset_id, "train")
    proofs = services.datasets.proofs(dataset_id, EMBEDDED_MODEL, 512)
    assert any(token.text == "" for token in proofs[0].tokens)
    for proof in proofs:
        learned = "".join(token.text for token in proof.tokens if token.is_trained)
        assert learned == f"{entries[proof.row - 1].answer}<|im_end|>"


def test_a_draft_can_be_measured_before_it_is_prepared(services: Services, qa_file: Path) -> None:
    imports = services.datasets.imports
    draft_id = imports.start_import(qa_file, model_name=EMBEDDED_MODEL)
    imports.wait(draft_id)
    report = services.datasets.lengths(draft_id, EMBEDDED_MODEL, 512)
    assert report is not None
    assert report.num_entries == 40


def test_a_tokenizer_that_cannot_be_had_is_said_and_nothing_is_estimated(
    services: Services, qa_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    card = services.datasets.prepare(qa_file)
    model = "nobody/no-such-model"
    job_id = services.datasets.start_measuring(card.dataset_id, model)
    with pytest.raises(ModelError, match="not on this machine") as refused:
        services.datasets.imports.wait(job_id)
    assert "network" in refused.value.hint
    assert services.datasets.lengths(card.dataset_id, model, 512) is None
    # An import goes on without: the file can be looked at before there is a model.
    draft_id = services.datasets.imports.start_import(qa_file, model_name=model)
    services.datasets.imports.wait(draft_id)
    assert services.datasets.lengths(draft_id, model, 512) is None


def long_questions(folder: Path, *, count: int) -> Path:
    rows = clean_rows(30)
    for row in rows[:count]:
        row["question"] = f"{row['question']} {'And why? ' * 60}"
    return write_rows(folder / "long.jsonl", rows)


SHORT = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=2, max_seq_length=64)


def test_a_length_that_cuts_every_answer_is_refused_before_anything_starts(
    services: Services, tmp_path: Path
) -> None:
    path = long_questions(tmp_path, count=30)
    card = services.datasets.prepare(path)
    # Tokens were not counted: the run finds out by itself, before it loads the model.
    run_id = services.training.start(SHORT, card.dataset_id)
    snapshot = wait_for_end(services.training, run_id)
    assert isinstance(snapshot.outcome, RunFailed)
    assert snapshot.outcome.code == "data_error"
    assert "no answer is left" in snapshot.outcome.message
    phases = [
        event.phase
        for event in services.training.directory(run_id).read_events()
        if event.kind == "phase_changed"
    ]
    assert phases[-1] == "Preparing the data"
    assert not services.training.directory(run_id).encoded.exists()
    # Tokens were counted: nothing starts.
    measured(services, path)
    with pytest.raises(DataError, match="With 64 tokens an entry, no answer is left"):
        services.training.start(SHORT, card.dataset_id)
    assert len(services.training.runs()) == 1


def test_some_answers_that_are_cut_away_are_counted_in_a_warning(
    services: Services, tmp_path: Path
) -> None:
    card = services.datasets.prepare(long_questions(tmp_path, count=3))
    run_id = services.training.start(SHORT, card.dataset_id)
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    assert any("had no answer left and were left out" in one.text for one in snapshot.messages)
    assert not services.training.directory(run_id).encoded.exists()


def test_the_process_of_the_page_loads_no_tokenizer(services: Services, qa_file: Path) -> None:
    import subprocess

    dataset_id = measured(services, qa_file)
    program = (
        "import sys; from pathlib import Path; from medqlora.services import Services\n"
        "datasets = Services.open(Path(sys.argv[1])).datasets\n"
        f"assert datasets.lengths({dataset_id!r}, {EMBEDDED_MODEL!r}, 64)\n"
        f"assert datasets.proofs({dataset_id!r}, {EMBEDDED_MODEL!r}, 64)\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'datasets', 'pandas', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(services.workspace.root)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"

"""Prepared datasets: whole or not at all, opened again at once, the same from the same file."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from medqlora.data.columns import parse_mapping
from medqlora.data.normalising import normalised
from medqlora.domain.preparing import Choices
from medqlora.errors import DataError, PersistenceError
from medqlora.persistence.workspace import Workspace
from medqlora.services.datasets import DatasetService
from tests.data.shared_data import SHARED, needs_shared_data


@pytest.fixture
def service(workspace: Workspace) -> DatasetService:
    return DatasetService(workspace)


def test_prepared_dataset_is_what_its_card_says(service: DatasetService, qa_file: Path) -> None:
    card = service.prepare(qa_file, eval_share=0.25, seed=3)
    train, held_out = (service.entries(card.dataset_id, side) for side in ("train", "eval"))
    assert (len(train), len(held_out)) == (card.num_train, card.num_eval) == (30, 10)
    assert not {one.question for one in train} & {one.question for one in held_out}
    assert len(service.entries(card.dataset_id, "train", limit=4)) == 4
    files = {path.name for path in service.folder(card.dataset_id).iterdir()}
    assert files == {"dataset.json", "train.jsonl", "eval.jsonl"}
    assert service.card(card.dataset_id) == card
    assert (card.name, card.format, card.eval_share, card.seed) == ("pairs.jsonl", "jsonl", 0.25, 3)


def test_same_file_and_settings_open_what_is_there(service: DatasetService, qa_file: Path) -> None:
    first = service.prepare(qa_file)
    jobs = service.imports.directories()
    again = service.prepare(qa_file)
    assert service.imports.directories() == jobs  # nothing was read again
    assert replace(again, used_at=first.used_at) == first
    others = [
        service.prepare(qa_file, seed=7),
        service.prepare(qa_file, eval_share=0.2),
        service.prepare(qa_file, mapping=parse_mapping("prompt=answer,response=question")),
    ]
    assert len({card.dataset_id for card in (first, *others)}) == 4
    assert [card.dataset_id for card in service.cards()][-1] == first.dataset_id
    service.prepare(qa_file)
    assert service.cards()[0].dataset_id == first.dataset_id
    assert service.cards()[0].created_at == first.created_at


def test_preparing_at_the_same_time_gives_one_dataset(
    service: DatasetService, qa_file: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        cards = list(pool.map(lambda _: service.prepare(qa_file), range(4)))
    assert len({card.dataset_id for card in cards}) == 1
    assert len(list(service.folder(cards[0].dataset_id).parent.iterdir())) == 1


def test_sample_needs_no_file(service: DatasetService) -> None:
    card = service.prepare(None)
    assert card.num_train + card.num_eval >= 200
    assert card.num_eval == pytest.approx(0.1 * (card.num_train + card.num_eval), abs=1)


def test_deleted_dataset_is_gone_and_others_stay(service: DatasetService, qa_file: Path) -> None:
    doomed, kept = service.prepare(qa_file), service.prepare(qa_file, seed=1)
    service.delete(doomed.dataset_id)
    assert service.cards() == (kept,)
    with pytest.raises(PersistenceError):
        service.card(doomed.dataset_id)


@pytest.mark.parametrize("dataset_id", ["../runs", "/etc", "", "no-such", "a/b", ".."])
def test_ids_of_anybody_lead_nowhere_else(service: DatasetService, dataset_id: str) -> None:
    for call in (service.card, service.delete, service.folder):
        with pytest.raises(PersistenceError):
            call(dataset_id)


def test_damaged_dataset_is_passed_over_and_said(service: DatasetService, qa_file: Path) -> None:
    damaged, kept = service.prepare(qa_file), service.prepare(qa_file, seed=1)
    card = service.folder(damaged.dataset_id) / "dataset.json"
    card.write_text(card.read_text(encoding="utf-8")[:50], encoding="utf-8")
    assert service.cards() == (kept,)
    with pytest.raises(PersistenceError, match="damaged"):
        service.card(damaged.dataset_id)


def test_refused_file_leaves_nothing_behind(
    service: DatasetService, workspace: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "same.csv"
    path.write_text("question,answer\n" + "What is it?,It is this one.\n" * 6, encoding="utf-8")
    with pytest.raises(DataError, match="All 6 rows ask the same question"):
        service.prepare(path)
    assert not list(workspace.datasets.iterdir())


def test_inspect_reports_all_that_the_command_line_prints(
    service: DatasetService, qa_file: Path
) -> None:
    report = json.loads(json.dumps(service.inspect(qa_file).to_json()))
    assert report.keys() >= {
        "rows",
        "valid",
        "missing_or_empty",
        "corrupted",
        "dup_exact",
        "dup_normalised",
        "dup_prompt_conflict",
        "resp_lt_10_chars",
        "resp_lt_3_words",
        "html",
        "control_or_invisible",
        "over_20k_chars",
        "max_chars",
        "columns",
        "mapping",
        "format",
        "encoding",
        "warnings",
    }
    assert report["mapping"]["prompt"] == ["question"]


@needs_shared_data
def test_questions_with_many_answers_stay_on_one_side(service: DatasetService) -> None:
    card = service.prepare(
        SHARED / "questiondoctor_messages_150.jsonl", choices=Choices(phi="mask")
    )
    train, held_out = (
        {normalised(one.question) for one in service.entries(card.dataset_id, side)}
        for side in ("train", "eval")
    )
    assert (card.num_train, card.num_eval) == (135, 15)
    assert not train & held_out


@needs_shared_data
def test_card_survives_the_disk(service: DatasetService) -> None:
    card = service.prepare(SHARED / "medmcqa_dev_500.parquet", choices=Choices(phi="mask"))
    assert card.screening
    assert card.screening.rows_touched < 50
    assert asdict(service.card(card.dataset_id)) == asdict(card)
    assert card.mapping.options == ("opa", "opb", "opc", "opd")


def test_page_process_loads_nothing_heavy_for_data(qa_file: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from medqlora.persistence.workspace import "
        "Workspace\n"
        "from medqlora.services.datasets import DatasetService\n"
        "service = DatasetService(Workspace.open(Path(sys.argv[1])))\n"
        "service.prepare(Path(sys.argv[2]))\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'pyarrow', 'openpyxl'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "w"), str(qa_file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"

"""Files of multiple-choice questions become sets that can be asked; bad ones are one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from medqlora.domain.benchmark import BenchmarkCard, ChoiceItem
from medqlora.errors import DataError, EvaluationError
from medqlora.evaluation.benchmark_reading import fingerprint
from medqlora.evaluation.benchmark_sets import add_file, cards, obtain, read_items
from medqlora.evaluation.benchmarks import BENCHMARKS
from tests.evaluation.shared_data import shared_file


def row(n: int, **changes: Any) -> dict[str, Any]:
    return {
        "question": f"Which sign is number {n}?",
        "options": {"A": "red", "B": "green", "C": "blue", "D": "white"},
        "answer": "ABCD"[n % 4],
    } | changes


def jsonl(folder: Path, rows: list[dict[str, Any]], name: str = "ward.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


def added(tmp_path: Path, path: Path, **options: Any) -> tuple[BenchmarkCard, list[ChoiceItem]]:
    folder = tmp_path / "benchmarks"
    folder.mkdir(exist_ok=True)
    card = add_file(folder, path, **options)
    return card, read_items(folder / card.name)


def test_a_users_own_file_becomes_a_set(tmp_path: Path) -> None:
    card, items = added(tmp_path, jsonl(tmp_path, [row(n, specialty="skin") for n in range(8)]))
    assert (card.name, card.template, card.num_items) == ("own-ward", "own", 8)
    assert items[1] == ChoiceItem(
        item_id="line 2",
        question="Which sign is number 1?",
        options=("red", "green", "blue", "white"),
        gold=1,
        label="skin",
    )
    assert cards(tmp_path / "benchmarks") == (card,)


def test_five_options_are_asked_in_an_own_file_and_refused_as_medqa(tmp_path: Path) -> None:
    five = dict(zip("ABCDE", ("a1", "b2", "c3", "d4", "e5"), strict=True))
    path = jsonl(tmp_path, [row(n, options=five, answer="E") for n in range(4)])
    _, items = added(tmp_path, path)
    assert [len(one.options) for one in items] == [5] * 4
    assert {one.gold for one in items} == {4}
    with pytest.raises(EvaluationError, match="has four options, this has 5") as refused:
        added(tmp_path, path, template="medqa")
    assert refused.value.hint


@pytest.mark.parametrize(
    ("header", "right"),
    [
        ("question,A,B,C,answer", "ABC"),
        ("Question,Option A,Option B,Option C,Correct Answer", "abc"),
        ("stem,choice_1,choice_2,choice_3,correct", ("1", "2", "3")),
        ("item,opt1,opt2,opt3,key", ("red one", "green one", "blue one")),
        ("question,a,b,c,answer", ("0", "1", "2")),
    ],
)
def test_exams_of_spreadsheets_are_read_whatever_their_columns_are_called(
    tmp_path: Path, header: str, right: tuple[str, ...]
) -> None:
    path = tmp_path / "night shift.csv"
    rows = [f"Which {n}?,red one,green one,blue one,{right[n % 3]}" for n in range(9)]
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    _, items = added(tmp_path, path)
    assert [one.gold for one in items] == [0, 1, 2] * 3
    assert items[0].options == ("red one", "green one", "blue one")


def test_numbers_that_may_count_from_0_or_1_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "shift.csv"
    rows = [f"Which {n}?,red,green,blue,{n % 2 + 1}" for n in range(9)]
    path.write_text("\n".join(["question,A,B,C,answer", *rows]), encoding="utf-8")
    with pytest.raises(EvaluationError, match="from 0 or from 1"):
        added(tmp_path, path)


def test_rows_without_a_right_answer_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [row(n) for n in range(6)]
    rows[2]["answer"] = "K"
    rows[4]["answer"] = None
    card, items = added(tmp_path, jsonl(tmp_path, rows))
    assert len(items) == 4
    assert "2 of 6 rows cannot be asked" in card.remarks[0]
    assert "line 3" in card.remarks[0]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            [{"question": f"Q{n}?", "A": "x", "B": "y", "C": "z", "D": "w"} for n in range(5)],
            "right",
        ),
        ([row(n, answer="") for n in range(5)], "no question that can be asked"),
        ([{"question": f"Q{n}?", "answer": f"It is {n} things."} for n in range(5)], "no options"),
        ([row(n, id=f"item-{n % 3}") for n in range(5)], "Questions 1 and 4 .* have the same id"),
    ],
)
def test_a_file_that_cannot_be_asked_is_one_sentence(
    tmp_path: Path, rows: list[dict[str, Any]], says: str
) -> None:
    with pytest.raises(EvaluationError, match=says) as refused:
        added(tmp_path, jsonl(tmp_path, rows))
    assert refused.value.hint
    assert not list((tmp_path / "benchmarks").iterdir())


def test_an_empty_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.touch()
    with pytest.raises(DataError) as refused:
        added(tmp_path, path)
    assert refused.value.hint


def test_a_file_beside_the_sets_becomes_the_benchmark_of_its_name(tmp_path: Path) -> None:
    jsonl(tmp_path, [row(n) for n in range(5)], "mmlu_anatomy.jsonl")
    said: list[str] = []
    card, items = obtain(tmp_path, "mmlu-anatomy", on_phase=said.append)
    assert (card.template, len(items), said) == ("mmlu-anatomy", 5, ["Getting MMLU anatomy"])
    assert "135 questions, this file 5" in card.remarks[0]


def test_without_a_file_and_without_the_hub_the_way_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EvaluationError, match="MedQA") as refused:
        obtain(tmp_path, "medqa", on_phase=lambda phase: None)
    assert "medqa.jsonl" in refused.value.hint
    with pytest.raises(EvaluationError, match="no benchmark of that name"):
        obtain(tmp_path, "no-such", on_phase=lambda phase: None)


def test_a_damaged_set_is_passed_over_and_said_when_asked(tmp_path: Path) -> None:
    card, _ = added(tmp_path, jsonl(tmp_path, [row(n) for n in range(4)]))
    folder = tmp_path / "benchmarks"
    (folder / card.name / "card.json").write_text("{", encoding="utf-8")
    assert cards(folder) == ()
    with pytest.raises(EvaluationError, match="damaged"):
        obtain(folder, card.name, on_phase=lambda phase: None)


@pytest.mark.parametrize(
    ("name", "file", "num_items"),
    [
        ("medqa", "medqa_us_4opt_200.jsonl", 200),
        ("medmcqa", "medmcqa_dev_500.parquet", 500),
        ("pubmedqa", "pubmedqa_ori_pqal.json", 500),
        ("mmlu-anatomy", "mmlu_anatomy_test.csv", 135),
    ],
)
def test_the_published_files_are_read_whole(
    tmp_path: Path, name: str, file: str, num_items: int
) -> None:
    card, items = added(tmp_path, shared_file(file), template=name)
    assert len(items) == num_items
    assert not [one for one in card.remarks if "left out" in one]
    assert len({one.gold for one in items}) == len(items[0].options)


def test_medmcqa_counts_right_from_the_hub_and_from_github(tmp_path: Path) -> None:
    _, github = added(tmp_path, shared_file("medmcqa_dev_500.parquet"), template="medmcqa")
    table = pd.read_parquet(shared_file("medmcqa_dev_500.parquet"))
    table["cop"] -= 1  # the hub counts from 0
    table.to_parquet(tmp_path / "hub.parquet")
    _, hub = added(
        tmp_path,
        tmp_path / "hub.parquet",
        template="medmcqa",
        mapping=BENCHMARKS["medmcqa"].hub_mapping,
    )
    assert hub == github


def test_the_hubs_columns_of_medqa_are_known(tmp_path: Path) -> None:
    rows = [
        {
            "id": f"test-{n}",
            "sent1": f"What is {n}?",
            "sent2": "",
            **{f"ending{i}": f"Finding {i}" for i in range(4)},
            "label": n % 4,
        }
        for n in range(8)
    ]
    _, items = added(tmp_path, jsonl(tmp_path, rows), template="medqa")
    assert [one.gold for one in items] == [0, 1, 2, 3] * 2
    assert items[0].item_id == "test-0"


def test_pubmedqas_test_split_is_the_official_one() -> None:
    rows = json.loads(shared_file("pubmedqa_ori_pqal.json").read_text("utf-8"))
    official = json.loads(shared_file("pubmedqa_test_ground_truth.json").read_text("utf-8"))
    split = BENCHMARKS["pubmedqa"].test_split
    assert split is not None
    wanted = {fingerprint(rows[pmid]["QUESTION"]) for pmid in official}
    assert set(split.read_text(encoding="ascii").split()) == wanted

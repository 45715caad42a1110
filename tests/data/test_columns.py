"""What columns mean is known, said by the user, or asked; it is never guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medqlora.data.columns import parse_mapping
from medqlora.data.loader import MedicalDatasetLoader
from medqlora.domain.dataset import ColumnMapping, ReadResult
from medqlora.errors import DataError, MappingNeededError


def read(tmp_path: Path, columns: str, mapping: ColumnMapping | None = None) -> ReadResult:
    names = columns.split(",")
    path = tmp_path / "table.jsonl"
    rows = [{name: f"text {row} of {name}" for name in names} for row in range(3)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return MedicalDatasetLoader().read(path, mapping)


@pytest.mark.parametrize(
    ("columns", "prompt", "response", "context"),
    [
        ("question,answer", ("question",), "answer", None),
        ("Answer,Question,id", ("Question",), "Answer", None),
        ("prompt,completion,type", ("prompt",), "completion", None),
        ("input,output", ("input",), "output", None),
        ("instruction,output", ("instruction",), "output", None),
        ("instruction,input,output", ("instruction", "input"), "output", None),
        ("instruction,context,response,category", ("instruction",), "response", "context"),
        ("question,context,answer", ("question",), "answer", "context"),
        ("question,long_answer,final_decision", ("question",), "long_answer", None),
        ("Description,Patient,Doctor", ("Patient",), "Doctor", None),
        ("ID,section_header,section_text,dialogue", ("dialogue",), "section_text", None),
    ],
)
def test_known_names_are_read_without_asking(
    tmp_path: Path, columns: str, prompt: tuple[str, ...], response: str, context: str | None
) -> None:
    mapping = read(tmp_path, columns).mapping
    assert (mapping.prompt, mapping.response, mapping.context) == (prompt, response, context)


@pytest.mark.parametrize(
    "columns",
    [
        "question,answer,response",
        "question,prompt,answer",
        "question,long_answer,answer",
        "instruction,input,output,response",
        "dialogue,note,section_text",
        "prompt,chosen,rejected",
        "patient,doctor",
        "text,label",
        "Question,question,answer",
        "answer",
    ],
)
def test_two_readings_or_none_are_asked_about(tmp_path: Path, columns: str) -> None:
    with pytest.raises(MappingNeededError) as caught:
        read(tmp_path, columns)
    assert caught.value.columns == tuple(columns.split(","))
    assert caught.value.code == "mapping_needed"


def test_users_mapping_decides_whatever_the_case_of_its_names(tmp_path: Path) -> None:
    mapping = parse_mapping("prompt=Title+ BODY,response=reply,context=notes")
    result = read(tmp_path, "title,body,Reply,Notes,answer,question", mapping)
    assert result.mapping.prompt == ("title", "body")
    entry = result.entries[0]
    assert entry.question == "text 0 of title\ntext 0 of body"
    assert (entry.answer, entry.context) == ("text 0 of Reply", "text 0 of Notes")
    assert entry.metadata == {"answer": "text 0 of answer", "question": "text 0 of question"}


def test_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingNeededError, match='no column "reply"') as caught:
        read(tmp_path, "question,answer", parse_mapping("prompt=question,response=reply"))
    assert caught.value.columns == ("question", "answer")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "question,answer",
        "prompt=q",
        "response=a",
        "prompt=q,response=a,other=b",
        "prompt=q,response=a,answer_by=luck",
        "prompt=,response=a",
    ],
)
def test_mapping_that_cannot_be_understood_is_refused_with_its_grammar(text: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_mapping(text)
    assert "prompt=COLUMN" in caught.value.hint


def test_nested_columns_are_found_by_their_path(tmp_path: Path) -> None:
    rows = [
        {"id": n, "qa": {"question": f"What is {n}?", "answer": f"It is {n}."}} for n in range(3)
    ]
    path = tmp_path / "table.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    mapping = MedicalDatasetLoader().read(path).mapping
    assert (mapping.prompt, mapping.response) == (("qa.question",), "qa.answer")


def test_answer_column_of_numbers_is_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(
        json.dumps([{"question": "Which?", "answer": n} for n in range(3)]), encoding="utf-8"
    )
    with pytest.raises(MappingNeededError, match="something else than text"):
        MedicalDatasetLoader().read(path)


def test_empty_input_leaves_no_blank_line_in_the_prompt(tmp_path: Path) -> None:
    rows = [{"instruction": f"Say {n}.", "input": "", "output": f"{n} it is."} for n in range(2)]
    path = tmp_path / "table.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    assert MedicalDatasetLoader().read(path).entries[1].question == "Say 1."

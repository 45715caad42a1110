"""What columns mean is known, said by the user, or asked; it is never guessed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from medqlora.data.columns import mapping_from_json, parse_mapping, read_mapping
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


def test_reading_says_why_and_how_surely(tmp_path: Path) -> None:
    layout = read(tmp_path, "instruction,input,output").mapping
    by_name = read(tmp_path, "question,answer").mapping
    said = read(tmp_path, "a,b", parse_mapping("prompt=a,response=b")).mapping
    assert 1 == said.confidence > layout.confidence > by_name.confidence > 0.5
    assert all(one.reason.endswith(".") for one in (layout, by_name, said))


@pytest.mark.parametrize("names", ["Frage,Antwort", "Pregunta,Respuesta", "问题,回答"])
def test_names_in_other_languages_are_known(tmp_path: Path, names: str) -> None:
    mapping = read(tmp_path, names).mapping
    assert f"{mapping.prompt[0]},{mapping.response}" == names


def ask(tmp_path: Path, rows: list[dict[str, object]]) -> MappingNeededError:
    path = tmp_path / "table.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(MappingNeededError) as caught:
        MedicalDatasetLoader().read(path)
    return caught.value


def test_asking_brings_candidates_with_reasons(tmp_path: Path) -> None:
    two = ask(tmp_path, [{"question": "Q?", "answer": "one", "response": "two"}] * 2)
    assert [one.response for one in two.candidates] == ["answer", "response"]
    assert all(0 < one.confidence < 0.5 and one.reason for one in two.candidates)
    pair = ask(tmp_path, [{"Findings": "Clear lungs.", "Impression": "Normal."}] * 2)
    assert (pair.candidates[0].prompt, pair.candidates[0].response) == (("Findings",), "Impression")
    part = ask(tmp_path, [{"Question (EN)": "What?", "Doctor's answer": "This.", "n": 1}] * 2)
    assert part.candidates[0].response == "Doctor's answer"
    values = ask(tmp_path, [{"c1": "What is it?", "c2": "It is this one.", "c3": "x"}] * 2)
    assert (values.candidates[0].prompt, values.candidates[0].response) == (("c1",), "c2")
    assert "are questions" in values.candidates[0].reason
    assert not ask(tmp_path, [{"c1": 1, "c2": 2}] * 2).candidates


def test_a_candidate_that_is_chosen_reads_the_file(tmp_path: Path) -> None:
    error = ask(tmp_path, [{"c1": f"What is {n}?", "c2": "It is this one."} for n in range(2)])
    result = MedicalDatasetLoader().read(tmp_path / "table.jsonl", error.candidates[0])
    assert result.counts.valid == 2


def test_samples_are_few_and_short_and_never_in_the_message(tmp_path: Path) -> None:
    fixed = {"c2": "x" * 500, "c4": None}
    error = ask(tmp_path, [{"c1": f"Jane Doe {n}", "c3": {"in": [n]}, **fixed} for n in range(9)])
    assert error.samples["c1"] == ("Jane Doe 0", "Jane Doe 1", "Jane Doe 2")
    assert [len(one) for one in error.samples["c2"]] == [80]
    assert error.samples["c3"][0] == '{"in": [0]}'
    assert error.samples["c3.in"] == ("[0]", "[1]", "[2]")
    assert "c4" not in error.samples
    assert "Jane" not in f"{error} {error!r} {error.hint} {error.args}"
    assert "--map" not in error.hint


def test_a_file_that_is_understood_has_samples_too_but_not_in_its_report(tmp_path: Path) -> None:
    result = read(tmp_path, "question,answer")
    assert result.samples["answer"][0] == "text 0 of answer"
    assert "text 0" not in json.dumps(result.to_json())


def test_mapping_survives_json_alone_and_inside_a_report(tmp_path: Path) -> None:
    result = read(tmp_path, "instruction,context,response")
    assert mapping_from_json(json.loads(json.dumps(asdict(result.mapping)))) == result.mapping
    path = tmp_path / "report.json"
    path.write_text(json.dumps(result.to_json()), encoding="utf-8")
    assert read_mapping(path) == result.mapping
    again = MedicalDatasetLoader().read(tmp_path / "table.jsonl", read_mapping(path))
    assert again.entries == result.entries


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {"prompt": ["q"]},
        {"prompt": [], "response": "a"},
        {"prompt": "q", "response": "a"},
        {"prompt": [1], "response": "a"},
        {"prompt": ["q"], "response": None},
        {"prompt": ["q"], "response": "a", "answer_by": "luck"},
        {"prompt": ["q"], "response": "a", "other": 1},
        {"prompt": ["q"], "response": "a", "answer_by": []},
    ],
)
def test_json_that_is_no_mapping_is_refused(tmp_path: Path, values: object) -> None:
    path = tmp_path / "map.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DataError, match="not a mapping"):
        read_mapping(path)


def test_number_of_options_that_the_user_states_is_believed(tmp_path: Path) -> None:
    options = {"opa": "a b", "opb": "b c", "opc": "c d", "opd": "d e"}
    rows = [{"question": f"Which {n}?", **options, "cop": n} for n in (1, 2, 3)]
    error = ask(tmp_path, rows)
    assert [one.answer_by for one in error.candidates] == ["from_0", "from_1"]
    path = tmp_path / "table.jsonl"
    for mapping, answer in zip(error.candidates, ("b c", "a b"), strict=True):
        assert MedicalDatasetLoader().read(path, mapping).entries[0].answer == answer
    said = parse_mapping("prompt=question,response=cop,answer_by=from_1")
    assert MedicalDatasetLoader().read(path, said).entries[0].answer == "a b"

"""The same three rows in every format and encoding come out the same."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from medqlora.data.columns import parse_mapping
from medqlora.data.loader import MedicalDatasetLoader
from medqlora.domain.dataset import ReadResult
from medqlora.errors import DataError, MappingNeededError

PAIRS = [
    ("What is fever, exactly?", 'A temperature above 38 °C; "pyrexia".'),
    ("Was ist eine Röntgenaufnahme?", "Ein Bild\nmit Röntgenstrahlen."),
    ("What does BP < 120 mean?", "A systolic pressure below 120 mmHg."),
]
ROWS = [{"question": question, "answer": answer} for question, answer in PAIRS]


def read(path: Path, content: bytes | str) -> ReadResult:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return MedicalDatasetLoader().read(path)


def pairs_of(result: ReadResult) -> list[tuple[str, str]]:
    return [(entry.question, entry.answer) for entry in result.entries]


def as_csv(**dialect: Any) -> str:
    text = io.StringIO()
    writer = csv.writer(text, **dialect)
    writer.writerows([("question", "answer"), *PAIRS])
    return text.getvalue()


def as_parquet() -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(ROWS), buffer)
    return buffer.getvalue()


def as_xlsx(*sheets: tuple[str, list[tuple[Any, ...]]]) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def as_zip(**files: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


JSONL = "\n".join(json.dumps(row) for row in ROWS)
CHATS = [
    {"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]}
    for q, a in PAIRS
]
MESSAGES = [
    {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
    for q, a in PAIRS
]
TABLE = [("question", "answer"), *PAIRS]

CONTENTS: dict[str, str | bytes] = {
    "array": json.dumps(ROWS),
    "indented array": json.dumps(ROWS, indent=2),
    "keyed by id": json.dumps({f"id{index}": row for index, row in enumerate(ROWS)}),
    "under a key": json.dumps({"version": "1", "data": ROWS}),
    "under two keys": json.dumps({"version": "1", "body": {"items": ROWS}}),
    "train and test": json.dumps({"train": ROWS[:2], "test": ROWS[2:]}),
    "pandas columns": json.dumps(
        {key: {str(i): row[key] for i, row in enumerate(ROWS)} for key in ("question", "answer")}
    ),
    "lists by column": json.dumps(
        {key: [row[key] for row in ROWS] for key in ("question", "answer")}
    ),
    "jsonl": JSONL,
    "jsonl with blank lines and CRLF": "\r\n\r\n".join(JSONL.split("\n")) + "\r\n",
    "sharegpt": "\n".join(map(json.dumps, CHATS)),
    "messages": "\n".join(map(json.dumps, MESSAGES)),
    "csv": as_csv(),
    "csv with line feeds": as_csv(lineterminator="\n"),
    "csv, all quoted": as_csv(quoting=csv.QUOTE_ALL),
    "semicolons": as_csv(delimiter=";"),
    "semicolons, declared": "sep=;\r\n" + as_csv(delimiter=";"),
    "tabs": as_csv(delimiter="\t"),
    "bars": as_csv(delimiter="|"),
    "csv with byte order mark": as_csv().encode("utf-8-sig"),
    "csv in UTF-16": as_csv().encode("utf-16"),
    "csv in UTF-16 without mark": as_csv().encode("utf-16-le"),
    "jsonl in UTF-16": JSONL.encode("utf-16"),
    "csv in Windows-1252": as_csv().encode("windows-1252"),
    "csv in latin-1": as_csv().encode("latin-1"),
    "json array in UTF-8 with mark": json.dumps(ROWS, ensure_ascii=False).encode("utf-8-sig"),
    "parquet": as_parquet(),
    "xlsx": as_xlsx(("Data", TABLE)),
    "xlsx with titles": as_xlsx(("Data", [("My data",), (), ("2024", None), *TABLE])),
    "xlsx with a second sheet": as_xlsx(
        ("Notes", [("item", "remark"), ("who", "me")]), ("Data", TABLE)
    ),
    "xlsx in two sheets": as_xlsx(("A", TABLE[:3]), ("B", [TABLE[0], TABLE[3]])),
    "gzip": gzip.compress(as_csv().encode()),
    "zip": as_zip(**{"folder/rows.jsonl": JSONL, "README.txt": "Some words about it."}),
    "zip of two": as_zip(
        a=JSONL.split("\n")[0] + "\n" + JSONL.split("\n")[1], b=as_csv()[:0] or json.dumps(ROWS[2:])
    ),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_rows_are_the_same_whatever_the_format_and_the_files_name(
    tmp_path: Path, content: str | bytes
) -> None:
    result = read(tmp_path / "named_wrongly.exe", content)
    assert pairs_of(result) == PAIRS
    assert result.counts.rows == result.counts.valid == 3
    assert result.mapping.reason


def test_legacy_encoding_is_named_and_the_user_is_told_to_check(tmp_path: Path) -> None:
    result = read(tmp_path / "a.csv", as_csv().encode("windows-1252"))
    assert result.encoding == "windows-1252"
    assert "preview" in result.warnings[0]


def test_cyrillic_in_its_old_encoding_does_not_become_gibberish(tmp_path: Path) -> None:
    rows = [("вопрос", "ответ")] + [
        (f"Что такое гипертония, вопрос часть {n}?", f"Повышенное давление крови человека {n}.")
        for n in range(20)
    ]
    text = "\n".join(f"{q};{a}" for q, a in rows)
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("windows-1251"))
    result = MedicalDatasetLoader().read(path, parse_mapping("prompt=вопрос,response=ответ"))
    assert result.entries[0].answer == "Повышенное давление крови человека 0."


def test_own_parts_of_a_file_are_read_together_and_said(tmp_path: Path) -> None:
    result = read(tmp_path / "a.json", CONTENTS["train and test"])
    assert [entry.metadata["split"] for entry in result.entries] == ["train", "train", "test"]
    assert "train (2), test (1)" in result.warnings[0]


def test_unread_sheets_are_named(tmp_path: Path) -> None:
    result = read(tmp_path / "a.xlsx", CONTENTS["xlsx with a second sheet"])
    assert any('sheet "Data"' in warning for warning in result.warnings)


def test_two_different_tables_are_never_guessed_between(tmp_path: Path) -> None:
    document = {"asked": ROWS, "told": [{"prompt": q, "response": a} for q, a in PAIRS]}
    with pytest.raises(DataError, match="2 different tables"):
        read(tmp_path / "a.json", json.dumps(document))


def test_numbers_and_dates_of_a_workbook_become_text(tmp_path: Path) -> None:
    rows = [("question", "answer"), ("How many teeth?", 32), ("Normal pH?", 7.4)]
    result = read(tmp_path / "a.xlsx", as_xlsx(("Data", rows)))
    assert [entry.answer for entry in result.entries] == ["32", "7.4"]


def test_formulas_of_a_workbook_are_not_computed(tmp_path: Path) -> None:
    rows = [("question", "answer"), ("A?", "Because of this."), ("B?", '=HYPERLINK("http://x")')]
    result = read(tmp_path / "a.xlsx", as_xlsx(("Data", rows)))
    assert (result.counts.valid, result.counts.missing_or_empty) == (1, 1)


def test_last_turns_of_messages_are_used_and_earlier_ones_become_context(tmp_path: Path) -> None:
    turns = [
        ("user", "I cough."),
        ("assistant", "Since when?"),
        ("user", "Monday."),
        ("assistant", "Rest."),
    ]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    entry = read(tmp_path / "a.jsonl", "\n".join([json.dumps(row)] * 2)).entries[0]
    assert (entry.question, entry.answer) == ("Monday.", "Rest.")
    assert entry.context == "User: I cough.\nAssistant: Since when?"


def test_options_in_every_published_shape_give_the_same_entry(tmp_path: Path) -> None:
    texts = ["None", "Iron", "Zinc", "Salt"]
    shapes: list[dict[str, Any]] = [
        {"question": "?", "options": dict(zip("ABCD", texts, strict=True)), "answer": "Iron"},
        {"question": "?", "options": dict(zip("ABCD", texts, strict=True)), "answer": "B"},
        {
            "question": "?",
            "options": [{"key": k, "value": v} for k, v in zip("ABCD", texts, strict=True)],
            "answer": "Iron",
        },
        {"question": "?", "choices": texts, "answer": 1},
    ]
    for shape in shapes:
        other = {
            **shape,
            "question": "Which is none?",
            "answer": {"Iron": "None", "B": "A", 1: 0}[shape["answer"]],
        }
        rows = [{**shape, "question": "Which is a metal?"}, other]
        result = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
        assert [entry.answer for entry in result.entries] == ["Iron", "None"]
        assert result.entries[0].question.endswith("A. None\nB. Iron\nC. Zinc\nD. Salt")
        assert [issue.code for issue in result.validation.issues][-1] == "placeholder_kept"


@pytest.mark.parametrize("cops", [[1, 2, 3], [0, 4, 1]])
def test_number_of_the_right_option_is_asked_about_when_its_count_is_unclear(
    tmp_path: Path, cops: list[int]
) -> None:
    options = {"opa": "a b c", "opb": "b c d", "opc": "c d e", "opd": "d e f"}
    rows = [{"question": f"Which {cop}?", **options, "cop": cop} for cop in cops]
    with pytest.raises(MappingNeededError, match="from 0 or from 1"):
        read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))

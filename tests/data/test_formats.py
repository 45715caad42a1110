"""The same three rows in every format and encoding come out the same."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

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
TABLE = [("question", "answer"), *PAIRS]


def read(path: Path, content: bytes | str) -> ReadResult:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return MedicalDatasetLoader().read(path)


def pairs_of(result: ReadResult) -> list[tuple[str, str]]:
    return [(entry.question, entry.answer) for entry in result.entries]


def as_csv(**dialect: Any) -> str:
    text = io.StringIO()
    writer = csv.writer(text, **dialect)
    writer.writerows(TABLE)
    return text.getvalue()


def as_medquad() -> str:
    pairs = "".join(
        f"<QAPair><Question>{escape(q)}</Question><Answer>{escape(a)}</Answer></QAPair>"
        for q, a in PAIRS
    )
    return f"<?xml version='1.0'?><Document><QAPairs>{pairs}</QAPairs></Document>"


def as_parquet(rows: list[dict[str, Any]] | None = None) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows or ROWS), buffer)
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
    "csv, texts quoted": as_csv(quoting=csv.QUOTE_NONNUMERIC),
    "csv, quotes escaped": as_csv(doublequote=False, escapechar="\\"),
    "csv, all quoted and escaped": as_csv(
        quoting=csv.QUOTE_ALL, doublequote=False, escapechar="\\"
    ),
    "csv, single quotes": as_csv(quoting=csv.QUOTE_ALL, quotechar="'"),
    "csv with carriage returns": as_csv(lineterminator="\r", quoting=csv.QUOTE_ALL),
    "tsv, all quoted": as_csv(delimiter="\t", quoting=csv.QUOTE_ALL),
    "tsv in UTF-16": as_csv(delimiter="\t").encode("utf-16"),
    "csv in UTF-32": as_csv().encode("utf-32"),
    "csv in UTF-16, big-endian": as_csv().encode("utf-16-be"),
    "semicolons in Windows-1252": as_csv(delimiter=";").encode("windows-1252"),
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
    "xlsx with a blank first column": as_xlsx(("Data", [(None, *row) for row in TABLE])),
    "parquet, nested": as_parquet([{"id": 1, "qa": row} for row in ROWS]),
    "gzip of parquet": gzip.compress(as_parquet()),
    "gzip of xlsx": gzip.compress(as_xlsx(("Data", TABLE))),
    "gzip of a zip": gzip.compress(as_zip(a=JSONL)),
    "zip of gzips": as_zip(
        **{
            "1.jsonl.gz": gzip.compress("\n".join(JSONL.split("\n")[:2]).encode()),
            "2.json.gz": gzip.compress(json.dumps(ROWS[2:]).encode()),
        }
    ),
    "zip of xlsx": as_zip(**{"a.xlsx": as_xlsx(("Data", TABLE))}),
    "zip of parquet": as_zip(**{"a.parquet": as_parquet()}),
    "zip of csv in UTF-16": as_zip(**{"a.csv": as_csv().encode("utf-16")}),
    "xml": as_medquad(),
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


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "gb18030", "big5"])
def test_chinese_is_read_in_every_encoding_it_comes_in(tmp_path: Path, encoding: str) -> None:
    texts = [
        ("高血压的常见症状是什么", "常见症状有头痛和头晕"),
        ("糖尿病患者饮食要注意什么", "少吃糖"),
    ]
    if encoding == "big5":
        texts = [
            ("高血壓的常見症狀是什麼", "常見症狀有頭痛和頭暈"),
            ("糖尿病飲食要注意什麼", "少吃糖"),
        ]
    rows = [f"{q},{a}" for q, a in texts * 20]
    path = tmp_path / "a.csv"
    path.write_bytes("\n".join(["question,answer", *rows]).encode(encoding))
    entries = MedicalDatasetLoader().read(path).entries
    assert [(one.question, one.answer) for one in entries] == texts * 20


def test_windows_1252_is_told_from_latin_1(tmp_path: Path) -> None:
    rows = "question,answer\nWhat is “flu”?,A virus… not café au lait €5.\n"
    result = read(tmp_path / "a.csv", rows.encode("windows-1252"))
    assert result.entries[0].answer == "A virus… not café au lait €5."


def test_whole_conversation_is_kept_whatever_its_turns_are_called(tmp_path: Path) -> None:
    turns = [("Hi.", "Hello, how can I help?"), ("I cough.", "Since when?"), ("Monday.", "Rest.")]
    names = [("from", "value", "human", "gpt"), ("role", "content", "user", "assistant")]
    names += [("speaker", "text", "Patient", "Doctor"), ("role", "text", "user", "model")]
    for role, text, user, assistant in names:
        told = [
            turn
            for asked, answered in turns
            for turn in ({role: user, text: asked}, {role: assistant, text: answered})
        ]
        result = read(tmp_path / "a.jsonl", "\n".join([json.dumps({"conversation": told})] * 2))
        entry = result.entries[0]
        assert (entry.question, entry.answer) == ("Monday.", "Rest.")
        assert entry.context == (
            "User: Hi.\nAssistant: Hello, how can I help?\nUser: I cough.\nAssistant: Since when?"
        )
        issues = {issue.code: issue for issue in result.validation.issues}
        assert issues["multi_turn"].rows == (1, 2)
        assert "what was said before is its context" in issues["multi_turn"].message


def test_no_turn_is_lost_when_somebody_speaks_twice(tmp_path: Path) -> None:
    turns = [
        ("user", "I cough."),
        ("user", "At night."),
        ("assistant", "Rest."),
        ("assistant", "Drink."),
    ]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    entry = read(tmp_path / "a.jsonl", "\n".join([json.dumps(row)] * 2)).entries[0]
    assert (entry.question, entry.answer) == ("I cough.\nAt night.", "Rest.\nDrink.")


def test_option_left_blank_keeps_its_number(tmp_path: Path) -> None:
    options = {"opa": "Iron", "opb": None, "opc": "Zinc", "opd": "Salt"}
    rows = [{"question": f"Which, {cop}?", **options, "cop": cop} for cop in (0, 2, 3)]
    entries = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))).entries
    assert [entry.answer for entry in entries] == ["Iron", "Zinc", "Salt"]


def test_saved_values_of_formulas_are_read_and_said(tmp_path: Path) -> None:
    rows = [("question", "answer"), ("A?", "Because of this."), ("B?", '="a" & "b"')]
    warnings = read(tmp_path / "a.xlsx", as_xlsx(("Data", rows))).warnings
    assert any("holds formulas: none is computed" in warning for warning in warnings)

"""Bad files: refused or reported in a plain sentence, with the line, never with text of a row."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from medqlora.data.loader import MedicalDatasetLoader
from medqlora.domain.dataset import ReadResult
from medqlora.errors import DataError, MappingNeededError
from medqlora.persistence.workspace import Workspace
from medqlora.services.datasets import DatasetService

SECRET = "Jane Doe has gout"
GOOD = json.dumps({"question": "What is gout?", "answer": "A joint disease."})


def read(tmp_path: Path, content: str | bytes, name: str = "data.csv") -> ReadResult:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return MedicalDatasetLoader().read(path)


def messages_of(result: ReadResult) -> str:
    return " ".join(result.to_json()["warnings"])


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def deep_json(depth: int) -> str:
    return '{"question": ' + "[" * depth + "]" * depth + "}"


class Trap:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("trap-was-sprung",))


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "is empty"),
    "blank": (" \n\n ", "is empty"),
    "header only": ("question,answer\n", "0 rows"),
    "empty array": ("[]", "0 rows"),
    "empty object": ("{}", "no rows"),
    "a bare number": ("[1, 2, 3]", "not a JSON object"),
    "every row ragged": ("q,a\n1,2,3\n4\n", "line 2 has 3 cells where 2 are expected"),
    "truncated array": (f"[{GOOD}, {GOOD[:30]}", "not complete JSON"),
    "depth of 100,000": (f"[{deep_json(100_000)}]", "nested too deeply"),
    "integer of 5,000 digits": ('[{"question": ' + "9" * 5000 + "}]", "thousands of digits"),
    "program": (b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00" * 50, "a Windows program"),
    "pickle": (pickle.dumps([{"question": SECRET, "answer": "text"}] * 100), "pickle"),
    "pickle with a trap": (pickle.dumps(Trap()), "pickle"),
    "old Excel": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        "an Office document that is old",
    ),
    "PDF": (b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\n", "PDF"),
    "Word": (zipped(**{"word/document.xml": b"<w/>"}), "a Word document"),
    "checkpoint": (zipped(**{"model/data.pkl": b"x"}), "PyTorch checkpoint"),
    "random bytes": (bytes(range(256)) * 40, "not text"),
    "web page": ("<!DOCTYPE html><html><body>hello, you</body></html>", "a web page"),
    "other XML": ("<library><book>one</book></library>", "0 rows"),
    "broken XML": ("<Document><QAPairs><QAPair><Question>a", "broken or cut off"),
    "XML bomb": (
        '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
        "<d><QAPair><Question>&b;</Question><Answer>&b;</Answer></QAPair></d>",
        "defines entities",
    ),
    "XML that reads a file": (
        '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        "<d><QAPair><Question>&x;</Question><Answer>&x;</Answer></QAPair></d>",
        "defines entities",
    ),
    "damaged zip": (zipped(a=b"x" * 500)[:-30], "damaged"),
    "damaged gzip": (gzip.compress(b"question,answer\n" * 900)[:-20], "cannot be unpacked"),
    "damaged Parquet": (b"PAR1" + bytes(100) + b"PAR1", "cannot be read"),
    "damaged workbook": (zipped(**{"xl/workbook.xml": b"<workbook/>"}), "cannot be read"),
    "workbook with an XML bomb": (
        zipped(
            **{
                "[Content_Types].xml": b'<!DOCTYPE d [<!ENTITY a "b">]><Types>&a;</Types>',
                "xl/workbook.xml": b"<workbook/>",
            }
        ),
        "cannot be read",
    ),
    "archive in an archive": (zipped(**{"a.zip": zipped(a=b"x")}), "archive inside an archive"),
    "gzip in a gzip": (gzip.compress(gzip.compress(b"question,answer\n")), "inside an archive"),
    "prose": (
        "It was late, and raining.\nNobody came.\nThe end, at last, was near.\n",
        "not a table",
    ),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_in_a_sentence_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert reason in caught.value.message
    assert "data.csv" in caught.value.message or "a.zip" in caught.value.message
    assert caught.value.hint.endswith((".", ")."))
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert not (tmp_path / "trap-was-sprung").exists()


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match="not a file"):
            MedicalDatasetLoader().read(path)


def test_ragged_rows_are_left_out_with_the_line_of_the_file(tmp_path: Path) -> None:
    content = f'question,answer\n"two\nlines",fine enough\n\none,two,three\n{SECRET}\na?,b c d\n'
    result = read(tmp_path, content)
    assert (result.counts.rows, result.counts.valid, result.counts.corrupted) == (4, 2, 2)
    assert "line 5 has 3 cells where 2 are expected" in messages_of(result)
    assert result.validation.issues[0].rows == (2, 3)
    assert SECRET not in messages_of(result)


def test_quote_that_is_never_closed_does_not_swallow_the_rest_silently(tmp_path: Path) -> None:
    result = read(tmp_path, 'question,answer\na?,one two\nb?,"three four\nc?,five six\n')
    assert (result.counts.valid, result.counts.corrupted) == (1, 1)
    assert "line 3 opens a quote that is never closed" in messages_of(result)


def test_repeated_columns_are_warned_of(tmp_path: Path) -> None:
    result = read(tmp_path, "question,note,answer,note\na?,x,one two three,y\n")
    assert result.columns == ("question", "note", "answer", "note (2)")
    assert '"note" more than once' in messages_of(result)


def test_repeated_answer_column_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(MappingNeededError, match="more than one column"):
        read(tmp_path, "question,answer,answer\na?,one two three,four five six\n")


def test_repeated_keys_of_json_are_warned_of(tmp_path: Path) -> None:
    row = '{"question": "What is it?", "answer": "one two", "answer": "three four five"}'
    for content in (f"{row}\n{row}", f"[{row}, {row}]"):
        assert "2 JSON objects repeat a key" in messages_of(read(tmp_path, content))


def test_broken_lines_of_jsonl_cost_only_themselves(tmp_path: Path) -> None:
    lines = [GOOD, GOOD[:-5], "[1]", deep_json(100_000), '{"question": ' + "9" * 5000 + "}", GOOD]
    result = read(tmp_path, "\n".join(lines))
    assert (result.counts.rows, result.counts.valid, result.counts.corrupted) == (6, 2, 4)
    assert result.validation.issues[0].rows == (2, 3, 4, 5)
    assert "line 2 is not complete JSON" in messages_of(result)


def test_half_characters_and_broken_bytes_never_reach_an_entry(tmp_path: Path) -> None:
    surrogate = '{"question": "What is it?", "answer": "half \\ud83d of a sign"}'
    in_metadata = '{"question": "What is it?", "answer": "one two three", "id": "\\ud83d"}'
    broken = '{"question": "Où, né à", "answer": "à é è ù ç ô î ê â ë ï"}\n'.encode() * 3
    broken += GOOD.encode().replace(b"joint", b"jo\xffnt")
    result = read(tmp_path, "\n".join([GOOD, surrogate, in_metadata]).encode() + b"\n" + broken)
    assert (result.counts.valid, result.counts.corrupted) == (4, 3)
    assert "not valid UTF-8" in messages_of(result)
    for entry in result.entries:
        entry.answer.encode()


def test_placeholders_count_as_missing_and_zero_bytes_as_control(tmp_path: Path) -> None:
    answers = ["", "  ", "NaN", "None", "null", "N/A", "n/a", "-", "nul\0 byte inside"]
    result = read(
        tmp_path, "question,answer\n" + "".join(f"q{i}?,{a}\n" for i, a in enumerate(answers))
    )
    assert (result.counts.missing_or_empty, result.counts.valid) == (8, 1)
    assert result.counts.control_or_invisible == 1
    assert result.counts.corrupted == 0


def test_values_that_are_no_text_count_as_missing(tmp_path: Path) -> None:
    values = ["null", "NaN", "3", "true", '["a", "b"]', '{"a": 1}', '"a real answer"']
    lines = [
        f'{{"question": "Which {value.encode().hex()}?", "answer": {value}}}' for value in values
    ]
    result = read(tmp_path, "\n".join(lines))
    assert (result.counts.missing_or_empty, result.counts.valid) == (6, 1)


@pytest.mark.parametrize("separator", ["\n", ","])
def test_row_of_five_megabytes_is_left_out_and_said(tmp_path: Path, separator: str) -> None:
    huge = json.dumps({"question": "What is huge?", "answer": "x" * 5_000_000})
    rows = separator.join([GOOD, huge, GOOD])
    result = read(tmp_path, rows if separator == "\n" else f"[{rows}]")
    assert (result.counts.valid, result.counts.corrupted) == (2, 1)
    assert "longer than 1,000,000 characters" in messages_of(result)


def test_cell_of_five_megabytes_is_left_out_and_said(tmp_path: Path) -> None:
    result = read(tmp_path, f"question,answer\na?,one two\nb?,{'x' * 5_000_000}\nc?,three four\n")
    assert (result.counts.valid, result.counts.corrupted) == (2, 1)
    assert "line 3 has a cell of more than 1,000,000 characters" in messages_of(result)


def test_one_row_is_read_but_never_prepared(tmp_path: Path, workspace: Workspace) -> None:
    assert read(tmp_path, "question,answer\nWhat?,one two three\n").counts.valid == 1
    with pytest.raises(DataError, match="1 valid row"):
        DatasetService(workspace).prepare(tmp_path / "data.csv")
    assert not list(workspace.datasets.iterdir())


def test_nothing_of_an_archive_is_written_where_it_says(tmp_path: Path) -> None:
    content = zipped(**{"../../escaped.jsonl": f"{GOOD}\n{GOOD}".encode()})
    folder = tmp_path / "inner"
    folder.mkdir()
    assert read(folder, content).counts.valid == 2
    assert not list(tmp_path.parent.rglob("escaped.jsonl"))


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("rows.csv")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="without any files"):
        read(tmp_path, buffer.getvalue())


def test_locked_archive_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped(a=b"question,answer\n"))
    content[6] |= 1  # the flag "encrypted" of the file's own header and of the directory's
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DataError, match="password"):
        read(tmp_path, bytes(content))


def test_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(2_000_000_001)
    with pytest.raises(DataError, match="at most 2,000 MB"):
        MedicalDatasetLoader().read(path)


def gzip_bomb() -> bytes:
    return gzip.compress(b"question,answer\n") + gzip.compress(bytes(10_000_000)) * 60


def workbook_bomb() -> bytes:
    return zipped(**{"xl/workbook.xml": b"<workbook/>", "xl/sharedStrings.xml": bytes(300_000_000)})


def parquet_bomb() -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    text = pa.array(["x" * 300_000])
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 5_000, pa.int32()), text)
    buffer = io.BytesIO()
    parquet.write_table(pa.table({"question": rows, "answer": rows}), buffer, compression="zstd")
    return buffer.getvalue()


@pytest.mark.parametrize("bomb", [gzip_bomb, workbook_bomb, parquet_bomb])
def test_bombs_are_refused_within_bounded_memory(tmp_path: Path, bomb: object) -> None:
    assert callable(bomb)
    path = tmp_path / "bomb.csv"
    path.write_bytes(bomb())
    assert path.stat().st_size < 2_000_000
    program = (
        "import sys; from pathlib import Path\n"
        "from medqlora.data.loader import MedicalDatasetLoader\n"
        "from medqlora.errors import DataError\n"
        "try: MedicalDatasetLoader().read(Path(sys.argv[1]))\n"
        "except DataError as error: print(error.message)\n"
    )
    limit = 3 * 1024**3
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.returncode == 0, done.stderr
    assert "more than" in done.stdout

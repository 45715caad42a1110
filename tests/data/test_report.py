"""The report can be opened by anybody and by any program, whatever the file says."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest

from medqlora.data.loader import MedicalDatasetLoader
from medqlora.data.report import CSV_COLUMNS, report_csv, report_html, write_report
from medqlora.domain.dataset import ReadResult
from medqlora.errors import ConfigError

NASTY = "=HYPERLINK(\"http://x\")<script>alert('x')</script>"


def result_of(tmp_path: Path) -> ReadResult:
    path = tmp_path / "-<img src=x onerror=alert(1)>.csv"
    header = 'question,answer,"=cmd|x","<script>alert(1)</script>"'
    rows = ["What?,A <br> secret answer.,1,2", "Why?,NA,1,2", "broken", "What?,Other answer.,1,2"]
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    return MedicalDatasetLoader().read(path)


class Tags(HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {tag, *(name for name, _ in attrs)}


def test_page_escapes_all_that_comes_from_the_file_and_loads_nothing(tmp_path: Path) -> None:
    page = report_html(result_of(tmp_path))
    tags = Tags()
    tags.feed(page)
    assert not tags.seen & {"script", "img", "src", "href", "onerror", "link", "iframe"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "line 4" in page
    assert "Remove remnants of HTML" in page
    assert "secret" not in page


def test_csv_lists_each_row_with_its_place_and_what_cleaning_does(tmp_path: Path) -> None:
    text = report_csv(result_of(tmp_path))
    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert tuple(rows[0]) == CSV_COLUMNS
    found = {(row["code"], row["row"], row["place"]) for row in rows}
    assert {
        ("html", "1", "line 2"),
        ("missing_or_empty", "2", "line 3"),
        ("placeholder_missing", "2", "line 3"),
        ("corrupted", "3", "line 4"),
        ("dup_prompt_conflict", "4", "line 5"),
    } <= found
    (html,) = [row for row in rows if row["code"] == "html"]
    assert html["cleaning"].startswith("Remove remnants of HTML: ")
    assert "secret" not in text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_can_be_taken_for_a_formula(tmp_path: Path, start: str) -> None:
    result = result_of(tmp_path)
    changed = ReadResult(
        **{
            **{name: getattr(result, name) for name in ("name", "format", "encoding", "columns")},
            **{name: getattr(result, name) for name in ("mapping", "entries", "validation")},
            "warnings": (f"{start}1+1",),
        }
    )
    rows = list(csv.reader(io.StringIO(report_csv(changed), newline="")))
    assert f"'{start}1+1" in rows[-1]
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_report_of_a_clean_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,answer\nWhat is it?,It is this one.\n", encoding="utf-8")
    assert "Nothing was found" in report_html(MedicalDatasetLoader().read(path))


def test_name_of_the_report_says_its_kind(tmp_path: Path) -> None:
    result = result_of(tmp_path)
    write_report(tmp_path / "r.HTML", result)
    write_report(tmp_path / "r.csv", result)
    assert (tmp_path / "r.HTML").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (tmp_path / "r.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with pytest.raises(ConfigError, match=r"r\.docx"):
        write_report(tmp_path / "r.docx", result)

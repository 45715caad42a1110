"""Documents as HTML and Markdown: complete, escaped, and in need of nothing else."""

from __future__ import annotations

import html
import math
import re

from medqlora.domain.document import Bullets, Code, Curves, Document, Paragraph, Section, Table
from medqlora.evaluation.document_html import document_html
from medqlora.evaluation.document_markdown import document_markdown

NASTY = "<script>alert(1)</script> & [x](javascript:y) `a` | b * _c_ \"d'"


def document(*blocks: object) -> Document:
    return Document(NASTY, NASTY, [Section(NASTY, blocks)])  # type: ignore[arg-type]


EVERYTHING = document(
    Paragraph(NASTY),
    Paragraph(NASTY, "warning"),
    Table([(NASTY, NASTY)]),
    Table([(NASTY, NASTY)], (NASTY, NASTY)),
    Bullets([NASTY]),
    Code(NASTY + "\n```\nrm"),
    Curves(NASTY, NASTY, {NASTY: [(0, 1.0), (1, math.nan), (2, 3.0), (3, 4.0)]}),
)


def test_no_text_becomes_markup_in_html() -> None:
    page = document_html(EVERYTHING)
    assert "<script" not in page
    assert page.count(html.escape(NASTY)) >= 12
    assert "javascript:y" in html.unescape(page)


def test_the_page_asks_for_nothing_and_may_not() -> None:
    page = document_html(EVERYTHING)
    assert "default-src 'none'" in page
    assert re.findall(r"""(?:src|href)=["'](?!#)""", page) == []
    assert "url(" not in page
    assert "@import" not in page


def test_a_gap_in_a_curve_is_a_gap() -> None:
    page = document_html(EVERYTHING)
    assert page.count("<polyline") == 1
    assert page.count("<circle") == 1  # the point before the gap stands alone
    assert "nan" not in page.lower().replace("nature", "")


def test_a_curve_without_points_is_left_out() -> None:
    assert "<figure" not in document_html(document(Curves("Loss", "step", {"loss": []})))


def test_no_text_becomes_markup_in_markdown() -> None:
    card = document_markdown(EVERYTHING, front_matter={"base_model": 'a"\nb: c'})
    outside = re.sub(r"````\n.*?\n````", "", card, flags=re.DOTALL)
    assert "<script" not in outside
    assert not re.search(r"(?<!\\)[\[`*_](?:x\]|a|c)", outside)
    assert "\\|" in outside
    # One line of front matter, whatever the value says.
    assert card.startswith('---\nbase_model: "a\\"\\nb: c"\n---\n')
    # The fence is longer than the one in the text.
    assert "\n````\n" in card

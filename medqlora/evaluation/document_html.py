"""A document as one HTML page that needs nothing else: no script, no request, fit to be printed.

Every text is escaped; a policy in the page forbids scripts and requests besides.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from medqlora.domain.document import Block, Bullets, Code, Curves, Document, Paragraph, Table
from medqlora.evaluation.document_svg import curves_svg

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1f24;background:#fff}h1{font-size:1.7rem;margin:0}h2{margin:2rem 0 .4rem;"
    "font-size:1.15rem;border-bottom:2px solid #0f766e;padding-bottom:.2rem}"
    ".subtitle{color:#4b5560;margin:.2rem 0 1rem}table{border-collapse:collapse;width:100%;"
    "margin:.6rem 0;font-size:.93rem}th,td{border:1px solid #c5ccd3;padding:.3rem .55rem;"
    "text-align:left;vertical-align:top;overflow-wrap:break-word}th{background:#eef1f4}"
    "tbody th{width:15rem;font-weight:600;overflow-wrap:anywhere}tbody th+td{overflow-wrap:"
    "anywhere}.warning{border-left:4px solid #b45309;"
    "padding:.5rem .8rem;background:#fff7ed}.missing{color:#5b6570;font-style:italic}"
    "pre{background:#f4f6f8;border:1px solid #d5dbe1;padding:.7rem;white-space:pre-wrap;"
    "overflow-wrap:anywhere;font-size:.85rem}figure{margin:1rem 0}figure>svg{width:100%;"
    "max-width:40rem;font-size:11px}figcaption{font-size:.9rem}figcaption svg{margin:0 .3rem}"
    "nav ol{columns:2;font-size:.93rem}a{color:#0f5f58}"
    "@media print{body{margin:0;max-width:none;font-size:11pt}h2{break-after:avoid}"
    "table,figure,pre{break-inside:avoid}table.long{break-inside:auto}tr{break-inside:avoid}"
    "nav{display:none}}@page{margin:18mm}"
)
_LONG_TABLE = 15


def document_html(document: Document) -> str:
    """The page."""
    title = html.escape(document.title)
    contents = "".join(
        f'<li><a href="#s{number}">{html.escape(one.title)}</a></li>'
        for number, one in enumerate(document.sections, 1)
    )
    sections = "".join(
        f'<section><h2 id="s{number}">{number}. {html.escape(one.title)}</h2>'
        f"{''.join(map(_block, one.blocks))}</section>\n"
        for number, one in enumerate(document.sections, 1)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>\n"
        f'<h1>{title}</h1><p class="subtitle">{html.escape(document.subtitle)}</p>\n'
        f'<nav aria-label="Contents"><ol>{contents}</ol></nav>\n{sections}</body></html>\n'
    )


def _block(block: Block) -> str:
    match block:
        case Paragraph(text, tone):
            return f'<p class="{tone}">{html.escape(text)}</p>'
        case Bullets(texts):
            return f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in texts)}</ul>"
        case Code(text):
            return f"<pre>{html.escape(text)}</pre>"
        case Curves():
            return curves_svg(block)
        case Table(rows, headers):
            return _table(rows, headers)


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{html.escape(one)}</th>' for one in headers)
    body = "".join(f"<tr>{_cells(row, names_row=not headers)}</tr>" for row in rows)
    kind = ' class="long"' if len(rows) > _LONG_TABLE else ""
    head = f"<thead><tr>{head}</tr></thead>" if headers else ""
    return f"<table{kind}>{head}<tbody>{body}</tbody></table>"


def _cells(row: Sequence[str], *, names_row: bool) -> str:
    texts = [html.escape(cell) for cell in row]
    first = f'<th scope="row">{texts[0]}</th>' if names_row else f"<td>{texts[0]}</td>"
    return first + "".join(f"<td>{text}</td>" for text in texts[1:])

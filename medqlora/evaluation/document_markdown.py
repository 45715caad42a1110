"""A document as Markdown, for an adapter's README; every text escaped.

Curves become a table of a few of their points.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence

from medqlora.domain.document import Block, Bullets, Code, Curves, Document, Paragraph, Table

_SPECIAL = re.compile(r"([\\`*_\[\]{}#!|~$])")
_POINTS_SHOWN = 12


def document_markdown(document: Document, *, front_matter: Mapping[str, object]) -> str:
    """The document with a head of `name: value` lines, as the hub reads them from a model card."""
    head = "".join(f"{name}: {json.dumps(value)}\n" for name, value in front_matter.items())
    parts = [f"---\n{head}---", f"# {_text(document.title)}", _text(document.subtitle)]
    for section in document.sections:
        parts.append(f"## {_text(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _text(text: str) -> str:
    """One line in which nothing is read as Markdown or HTML."""
    line = " ".join(text.split())
    safe = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", safe)


def _block(block: Block) -> str:
    match block:
        case Paragraph(text, tone):
            return {"plain": "{}", "warning": "> **{}**", "missing": "*{}*"}[tone].format(
                _text(text)
            )
        case Bullets(texts):
            return "\n".join(f"- {_text(text)}" for text in texts)
        case Code(text):
            # Longer than any run of backticks in it.
            longest = max(map(len, re.findall(r"`+", text)), default=0)
            fence = "`" * max(3, longest + 1)
            return f"{fence}\n{text}\n{fence}"
        case Curves():
            return _curves(block)
        case Table(rows, headers):
            return _table(rows, headers)


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    names = headers or [""] * len(rows[0])
    lines = [[_text(cell) for cell in row] for row in (names, *rows)]
    lines.insert(1, ["---"] * len(names))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _curves(curves: Curves) -> str:
    tables = []
    for name, points in curves.lines.items():
        finite = [point for point in points if math.isfinite(point[1])]
        if finite:
            every = max(1, math.ceil(len(finite) / _POINTS_SHOWN))
            chosen = [*finite[:-1:every], finite[-1]]
            rows = [(f"{x:g}", f"{y:.4g}") for x, y in chosen]
            tables.append(_table(rows, (curves.x_label, name)))
    return "\n\n".join(tables)

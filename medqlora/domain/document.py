"""A document as a value: sections of blocks, of which HTML and Markdown are made alike.

It holds plain text only; those who render it escape it. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences; a `warning` stands out."""

    text: str
    tone: Literal["plain", "warning", "missing"] = "plain"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under headers; without headers the first cell of a row names the second."""

    rows: Sequence[Sequence[str]]
    headers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Bullets:
    """Sentences, one a line."""

    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Code:
    """Something to type, as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Curves:
    """Lines over a common axis.

    Attributes:
        title: What is drawn.
        x_label: What the axis counts.
        lines: Points `(x, y)` by name of the line; NaN is a gap.
    """

    title: str
    x_label: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


Block = Paragraph | Table | Bullets | Code | Curves


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a title."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Document:
    """A title, a line under it, and sections."""

    title: str
    subtitle: str
    sections: Sequence[Section]

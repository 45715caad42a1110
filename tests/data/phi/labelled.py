"""The labelled sets of the PHI screen and how they are counted: shared by tests and benchmark."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from typing import Any

from medqlora.data.phi.screen import PhiScreen
from tests.data.shared_data import SHARED

ASQ = SHARED / "phi" / "asq_phi_1051.jsonl"
_MARKED = re.compile(r"\{(?P<kind>\w+)\|(?P<text>[^}]*)\}")


@dataclass(frozen=True)
class Figures:
    """Share of labelled spans that one found span covers fully, and of clean texts touched."""

    spans: int
    covered: int
    clean: int
    touched: int

    @property
    def share_covered(self) -> float:
        return self.covered / self.spans

    @property
    def share_touched(self) -> float:
        return self.touched / self.clean


def asq(*, held_out: bool | None = None) -> list[dict[str, Any]]:
    """The rows; of the half that the rules were written on, or of the half held out."""
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in ASQ.read_text(encoding="utf-8").splitlines()
    ]
    if held_out is None:
        return rows
    # The draw by which the rules were developed on one half and measured on the other.
    random.Random(7).shuffle(rows)
    return rows[526:] if held_out else rows[:526]


def measured(rows: list[dict[str, Any]]) -> Figures:
    screen = PhiScreen()
    spans = covered = clean = touched = 0
    for row in rows:
        found = screen.find(row["text"])
        spans += len(row["spans"])
        covered += sum(
            any(one.start <= span["start"] and one.end >= span["end"] for one in found)
            for span in row["spans"]
            if span["start"] is not None
        )
        clean += not row["spans"]
        touched += not row["spans"] and bool(found)
    return Figures(spans, covered, clean, touched)


def unmarked(sentence: str) -> tuple[str, list[tuple[str, int, int]]]:
    """A marked sentence as text and its spans: kind, start, end."""
    text, spans, at = "", [], 0
    for match in _MARKED.finditer(sentence):
        text += sentence[at : match.start()]
        spans.append((match["kind"], len(text), len(text) + len(match["text"])))
        text += match["text"]
        at = match.end()
    return text + sentence[at:], spans

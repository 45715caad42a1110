"""What an evaluation leaves behind as a spreadsheet: a CSV row an item.

The CSV is made to be opened in a spreadsheet: a text that a spreadsheet would run as a formula
gets an apostrophe in front. Nothing here asks a model or decides which items are evaluated.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from medqlora.domain.evaluation import ItemResult
from medqlora.evaluation.metrics import METRICS
from medqlora.persistence.atomic import write_text

# Spreadsheets drop blanks in front of a formula, and some take the full-width signs as well.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def columns() -> list[str]:
    """The columns of the CSV, in order."""
    sides = ("base", "finetuned")
    return [
        *("index", "question", "reference", "base_response", "finetuned_response"),
        *(f"{side}_{name}" for name in METRICS for side in sides),
        *(
            f"{side}_{figure}"
            for figure in ("reference_loss", "tokens", "seconds")
            for side in sides
        ),
    ]


def to_csv(items: Sequence[ItemResult]) -> str:
    """The items as CSV text with a header, fit to be opened in a spreadsheet."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(columns())
    writer.writerows(_row(item) for item in items)
    return text.getvalue()


def write_csv(path: Path, items: Sequence[ItemResult]) -> None:
    """Writes `to_csv` to `path` in one step; see `persistence.atomic.write_text` for its errors."""
    write_text(path, to_csv(items))


def guarded(text: str) -> str:
    """The text as a cell that no spreadsheet runs: an apostrophe before what begins a formula."""
    # A lone surrogate of a broken file cannot be written as UTF-8.
    writable = text.encode("utf-8", "replace").decode("utf-8")
    return f"'{writable}" if _FORMULA.match(writable) else writable


def _row(item: ItemResult) -> list[str | float]:
    sides = (item.base, item.finetuned)
    texts = (item.base.query, item.reference or "", item.base.response, item.finetuned.response)
    # An item without a reference has none, and one of an older version not all of them.
    scores = [
        round(side.scores[name], 4) if name in side.scores else ""
        for name in METRICS
        for side in sides
    ]
    return [
        item.index,
        *map(guarded, texts),
        *scores,
        *("" if side.reference_loss is None else round(side.reference_loss, 4) for side in sides),
        *(side.num_tokens for side in sides),
        *(round(side.seconds, 2) for side in sides),
    ]

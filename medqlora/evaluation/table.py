"""What an evaluation leaves behind: a CSV row an item, and one summary.

The CSV is made to be opened in a spreadsheet: a text that a spreadsheet would run as a formula
gets an apostrophe in front. Nothing here asks a model or decides which items are evaluated.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medqlora.domain.evaluation import ItemResult
from medqlora.evaluation.intervals import Interval
from medqlora.evaluation.metrics import METRICS
from medqlora.evaluation.statistics import paired_scores, score_verdict
from medqlora.persistence.atomic import write_text

# Spreadsheets drop blanks in front of a formula, and some take the full-width signs as well.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSummary:
    """One metric over all items that have a reference.

    Attributes:
        name: The metric's name in `metrics.METRICS`.
        label: Its name on screen.
        mean_base: Mean of the base model, 0 to 1.
        mean_finetuned: Mean of the fine-tuned model, 0 to 1.
        difference: Fine-tuned minus base, -1 to 1.
        ci_difference: Paired bootstrap 95 % interval of the difference, `(low, high)`.
        verdict: Whether a difference can be claimed, in words.
    """

    name: str
    label: str
    mean_base: float
    mean_finetuned: float
    difference: float
    ci_difference: Interval
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSummary:
    """The figures of one evaluation.

    Attributes:
        num_items: Items answered.
        num_scored: Items with a reference, on which the metrics rest.
        metrics: One summary a metric; empty when no item has a reference.
        seconds: Time spent generating, of the slower answer of each item.
    """

    num_items: int
    num_scored: int
    metrics: tuple[MetricSummary, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The summary as a JSON object; intervals are lists of two."""
        record = asdict(self)
        record["metrics"] = [
            {**asdict(one), "ci_difference": list(one.ci_difference)} for one in self.metrics
        ]
        return record


def summarise(items: Sequence[ItemResult]) -> EvaluationSummary:
    """Means, differences, intervals and verdicts over all items."""
    scored = [item for item in items if item.reference is not None]
    return EvaluationSummary(
        num_items=len(items),
        num_scored=len(scored),
        metrics=tuple(_metric_summary(name, scored) for name in METRICS) if scored else (),
        seconds=sum(max(item.base.seconds, item.finetuned.seconds) for item in items),
    )


def _metric_summary(name: str, items: Sequence[ItemResult]) -> MetricSummary:
    figures = paired_scores(
        [item.base.scores[name] for item in items],
        [item.finetuned.scores[name] for item in items],
    )
    return MetricSummary(
        name=name,
        label=METRICS[name].label,
        mean_base=figures.mean_base,
        mean_finetuned=figures.mean_fine_tuned,
        difference=figures.difference,
        ci_difference=figures.ci_difference,
        verdict=score_verdict(figures),
    )


def columns() -> list[str]:
    """The columns of the CSV, in order."""
    sides = ("base", "finetuned")
    return [
        *("index", "question", "reference", "base_response", "finetuned_response"),
        *(f"{side}_{name}" for name in METRICS for side in sides),
        *(f"{side}_{figure}" for figure in ("tokens", "seconds") for side in sides),
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
    is_scored = item.reference is not None
    scores = [
        round(side.scores[name], 4) if is_scored else "" for name in METRICS for side in sides
    ]
    return [
        item.index,
        *map(guarded, texts),
        *scores,
        *(side.num_tokens for side in sides),
        *(round(side.seconds, 2) for side in sides),
    ]

"""Labels of a dataset, counted, and which of them are so unequal that a model would lean on it.

A label is the value of a column that is called one, the letter of the right option, or the answer
itself where a whole dataset knows only a few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from medqlora.domain.dataset import MedicalDataEntry

_NAMES = frozenset(
    (
        "label",
        "labels",
        "class",
        "category",
        "decision",
        "final_decision",
        "diagnosis",
        "outcome",
        "severity",
        "triage",
        "urgency",
    )
)
_MAX_LABELS = 30
_MAX_LABEL_CHARS = 60
_MIN_ROWS = 20
_MAX_SHARE = 0.8
_MAX_OPTION_SHARE = 0.5
_MAX_RATIO = 20
_ANSWERS = "the answers"
_OPTIONS = "the right options"


@dataclass(frozen=True, slots=True)
class Imbalance:
    """Labels that are unequal.

    Attributes:
        where: What they are: "the answers", or a column as in 'the column "label"'.
        num_rows: Rows that have one.
        most: Share of the rows that have the most frequent label.
        least: Share of the rows that have the rarest.
    """

    where: str
    num_rows: int
    most: float
    least: float

    def __str__(self) -> str:
        if self.most == 1:
            return f"{self.where} are all the same in {self.num_rows:,} rows"
        return (
            f"{self.where}: the most frequent stands in {self.most:.0%} of {self.num_rows:,} rows, "
            f"the rarest in {self.least:.1%}"
        )


class LabelCounts:
    """Counts labels row by row, in bounded memory."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {_ANSWERS: Counter(), _OPTIONS: Counter()}
        self._too_many: set[str] = set()

    def add(self, entry: MedicalDataEntry, option: str) -> None:
        """Counts the labels of one valid entry; `option` is the letter of the right one, or ""."""
        for name, value in entry.metadata.items():
            if name.lower() in _NAMES:
                self._count(f'the column "{name}"', str(value))
        if option:
            self._count(_OPTIONS, option)
        elif _ANSWERS not in self._too_many:
            self._count(_ANSWERS, entry.answer.strip().casefold())

    def imbalances(self) -> Iterator[Imbalance]:
        """What is so unequal that the most frequent label alone would be a good guess."""
        for where, counts in self._counts.items():
            total = counts.total()
            if where in self._too_many or total < _MIN_ROWS:
                continue
            ranked = counts.most_common()
            most, least = ranked[0][1], ranked[-1][1]
            limit = _MAX_OPTION_SHARE if where == _OPTIONS and len(ranked) > 2 else _MAX_SHARE
            is_one = len(ranked) == 1 and where != _ANSWERS
            if not is_one and (most > limit * total or most > _MAX_RATIO * least):
                yield Imbalance(where, total, most / total, least / total)

    def _count(self, where: str, label: str) -> None:
        if where in self._too_many:
            return
        counts = self._counts.setdefault(where, Counter())
        if len(label) > _MAX_LABEL_CHARS or (len(counts) >= _MAX_LABELS and label not in counts):
            self._too_many.add(where)
            counts.clear()
        else:
            counts[label] += 1

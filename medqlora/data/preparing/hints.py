"""Which columns of a draft a split may respect: labels, and names of patients or documents.

They are proposals, found by how many different values a column has and by what it is called.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from medqlora.data.normalising import fingerprint
from medqlora.data.splitting import label_of
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.preparing import ANSWER_LABEL, ColumnHints

_MAX_LABELS = 20
_MIN_ROWS_A_LABEL = 5
_MAX_LABEL_CHARS = 60
_MAX_COLUMNS = 200
_MIN_GROUPS = 5
_NO_LABELS = frozenset({"stem", "system", "split"})
_NUMBERED = r"[ _-]?(?:id|no|nr|number|key)"
_PATIENT = re.compile(
    r"patient(?:[ _-]?name)?|name of patient|mrn|"
    rf"(?:patient|subject|person|hadm|admission|encounter|visit|stay|case){_NUMBERED}",
    re.IGNORECASE,
)
_IDENTIFYING = re.compile(
    r"patient|surname|(?:first|last|full|given|family)[ _-]?name|^name$|mrn|birth|^dob$|address"
    r"|phone|e-?mail|ssn",
    re.IGNORECASE,
)
_DOCUMENT = re.compile(
    r"document|pmid|pubid|pmcid|(?:document|doc|note|article|report|study|dialogue|conversation)"
    rf"(?:{_NUMBERED}|[ _-]?url)",
    re.IGNORECASE,
)


class HintCounter:
    """Looks at entries one after the other, in bounded memory."""

    def __init__(self) -> None:
        self._num_entries = 0
        self._labels: dict[str, Counter[str]] = defaultdict(Counter)
        self._groups: dict[str, set[int]] = defaultdict(set)
        self._filled: Counter[str] = Counter()

    def add(self, entry: MedicalDataEntry) -> None:
        """Counts one entry."""
        self._num_entries += 1
        self._count_label(ANSWER_LABEL, entry.answer)
        for column, value in entry.metadata.items():
            if column not in self._filled and len(self._filled) >= _MAX_COLUMNS:
                continue
            if is_patient(column) or _DOCUMENT.fullmatch(column):
                self._filled[column] += 1
                self._groups[column].add(fingerprint(str(value)))
            elif column not in _NO_LABELS and not _IDENTIFYING.search(column):
                self._count_label(column, str(value))

    def hints(self) -> ColumnHints:
        """What was seen."""
        labels = [one for one in self._labels if one not in self._groups and self._is_label(one)]
        return ColumnHints(
            labels=tuple(sorted(labels, key=lambda column: column != ANSWER_LABEL)),
            groups=tuple(
                column
                for column, values in self._groups.items()
                if _MIN_GROUPS <= len(values) < self._filled[column]
            ),
        )

    def _count_label(self, column: str, value: str) -> None:
        self._filled[column] += 1
        values = self._labels[column]
        # One more than the most is enough to know that it is no label.
        if len(values) <= _MAX_LABELS:
            values[label_of(value)] += 1

    def _is_label(self, column: str) -> bool:
        values = self._labels[column]
        return (
            2 <= len(values) <= _MAX_LABELS
            and self._filled[column] >= 0.9 * self._num_entries
            and self._num_entries >= _MIN_ROWS_A_LABEL * len(values)
            and max(map(len, values)) <= _MAX_LABEL_CHARS
        )


def is_patient(column: str) -> bool:
    """Whether a column is called as one that says whose row it is."""
    return _PATIENT.fullmatch(column) is not None

"""An action against PHI, applied to the entries of a dataset.

`EntryScreener` masks, replaces, drops or keeps what the screen finds and counts it; it does not
read or write files.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from medqlora.data.phi.bulk import in_processes
from medqlora.data.phi.screen import PhiScreen
from medqlora.data.phi.surrogates import Surrogates, placeholder
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.phi import PhiAction, PhiKind, PhiSpan, ScreeningRecord
from medqlora.errors import DataError

KEEP_CONFIRMATION = "keep patient data"
"""What a user types to train on what the screen found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenedEntry:
    """An entry after the action.

    Attributes:
        entry: What goes on, or None when it was dropped.
        counts: Number of spans found, by kind; empty when nothing was.
    """

    entry: MedicalDataEntry | None
    counts: Mapping[PhiKind, int]


_ROW_NAME = re.compile(
    r"_?(?:id|uid|uuid|guid|key|index|(?:q|pub|pm|row|item|question|doc|document)[ _-]?id)",
    re.IGNORECASE,
)


def told(part: str, spans: Iterable[PhiSpan]) -> list[PhiSpan]:
    """The findings in one part of an entry that count.

    The code that a data set gives its own rows, in a column called `id` or the like, names a row
    and no person; codes in texts and in other columns count.
    """
    is_row_name = _ROW_NAME.fullmatch(part) is not None
    return [one for one in spans if not (is_row_name and one.kind == "unique_id")]


def mask(text: str, spans: Iterable[PhiSpan]) -> str:
    """`text` with each span replaced by its typed placeholder, such as `[NAME]`."""
    return _replaced(text, spans, lambda _, kind: placeholder(kind))


def _replaced(text: str, spans: Iterable[PhiSpan], instead: Callable[[str, PhiKind], str]) -> str:
    parts, at = [], 0
    for span in sorted(spans, key=lambda one: one.start):
        parts += [text[at : span.start], instead(text[span.start : span.end], span.kind)]
        at = span.end
    return "".join([*parts, text[at:]])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Treatment:
    """One action on one entry; other processes get a copy."""

    action: PhiAction
    key: bytes
    patient_field: str | None

    def all(self, entries: Sequence[MedicalDataEntry]) -> list[ScreenedEntry]:
        return [self.one(entry) for entry in entries]

    def one(self, entry: MedicalDataEntry) -> ScreenedEntry:
        screen, counts = PhiScreen(), Counter[PhiKind]()
        patient = str(entry.metadata.get(self.patient_field, "")) if self.patient_field else ""
        surrogates = Surrogates(self.key, patient=patient)

        def treated(value: Any, part: str = "") -> Any:
            if isinstance(value, list | tuple):
                return type(value)(treated(one, part) for one in value)
            if isinstance(value, Mapping):
                return {name: treated(one, name) for name, one in value.items()}
            if not isinstance(value, str):
                return value
            spans = told(part, screen.find(value))
            counts.update(span.kind for span in spans)
            if not spans or self.action in ("keep", "drop"):
                return value
            return (
                mask(value, spans)
                if self.action == "mask"
                else _replaced(value, spans, surrogates.of)
            )

        screened = replace(
            entry,
            question=treated(entry.question),
            answer=treated(entry.answer),
            context=treated(entry.context),
            metadata=treated(entry.metadata),
        )
        dropped = self.action == "drop" and bool(counts)
        return ScreenedEntry(entry=None if dropped else screened, counts=dict(counts))


class EntryScreener:
    """Applies one action to every entry and keeps count.

    Args:
        action: What to do with what is found.
        confirmation: For `keep` alone: `KEEP_CONFIRMATION`, as the user typed it.
        key: Secret of the surrogates: the same key gives the same surrogates. None draws a new
            one. It is held in memory and written nowhere.
        patient_field: Name of the metadata value that says whose row it is; then dates shift by
            one offset for each patient rather than for the whole dataset.

    Raises:
        DataError: `keep` without its confirmation.
    """

    def __init__(
        self,
        action: PhiAction,
        *,
        confirmation: str | None = None,
        key: bytes | None = None,
        patient_field: str | None = None,
    ) -> None:
        if action == "keep" and (confirmation or "").strip().lower() != KEEP_CONFIRMATION:
            raise DataError(
                "What the PHI screen found is kept only after a typed confirmation.",
                hint=f'Type "{KEEP_CONFIRMATION}", or choose to mask, replace or drop.',
            )
        self.action: PhiAction = action
        self.confirmation = confirmation if action == "keep" else None
        self._treatment = _Treatment(
            action=action, key=key or secrets.token_bytes(32), patient_field=patient_field
        )
        self._counts: Counter[PhiKind] = Counter()
        self._rows = self._touched = self._dropped = 0

    def screen(self, entry: MedicalDataEntry) -> ScreenedEntry:
        """Screens question, answer, context and every text in the metadata of one entry."""
        return self._counted(self._treatment.one(entry))

    def screen_all(
        self, entries: Iterable[MedicalDataEntry], *, processes: int | None = None
    ) -> Iterator[ScreenedEntry]:
        """`screen` for many: in order, in bounded memory, in several processes where it pays.

        Args:
            entries: Taken as needed.
            processes: At most this many; None is one for every core, 1 stays in this process.
        """
        work = partial(_treat_all, self._treatment)
        for screened in in_processes(work, entries, size=_size, processes=processes):
            yield self._counted(screened)

    def _counted(self, screened: ScreenedEntry) -> ScreenedEntry:
        self._rows += 1
        self._touched += bool(screened.counts)
        self._dropped += screened.entry is None
        self._counts.update(screened.counts)
        return screened

    def record(self) -> ScreeningRecord:
        """What has been screened so far."""
        return ScreeningRecord(
            action=self.action,
            counts=dict(self._counts),
            num_rows=self._rows,
            rows_touched=self._touched,
            rows_dropped=self._dropped,
            rules_version=PhiScreen.version,
            screened_at=datetime.now(UTC).isoformat(timespec="seconds"),
            confirmation=self.confirmation,
        )


def _treat_all(treatment: _Treatment, entries: Sequence[MedicalDataEntry]) -> list[ScreenedEntry]:
    return treatment.all(entries)


def _size(entry: MedicalDataEntry) -> int:
    return len(entry.question) + len(entry.answer) + len(entry.context or "")

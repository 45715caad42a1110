"""An action against PHI, applied to the entries of a dataset.

`EntryScreener` masks, replaces, drops or keeps what the screen finds and counts it; it does not
read or write files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from medqlora.data.phi.screen import PhiScreen
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


def mask(text: str, spans: Iterable[PhiSpan]) -> str:
    """`text` with each span replaced by its typed placeholder, such as `[NAME]`."""
    for span in sorted(spans, key=lambda one: one.start, reverse=True):
        text = f"{text[: span.start]}[{span.kind.upper()}]{text[span.end :]}"
    return text


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
        self.confirmation = confirmation
        self._screen = PhiScreen()
        self._counts: Counter[PhiKind] = Counter()
        self._rows = self._touched = self._dropped = 0

    def screen(self, entry: MedicalDataEntry) -> ScreenedEntry:
        """Screens question, answer, context and every text in the metadata of one entry."""
        counts: Counter[PhiKind] = Counter(s.kind for s in self._screen.find(entry.question))
        self._rows += 1
        self._touched += bool(counts)
        self._counts += counts
        question = mask(entry.question, self._screen.find(entry.question))
        return ScreenedEntry(entry=replace(entry, question=question), counts=counts)

    def screen_all(
        self, entries: Iterable[MedicalDataEntry], *, processes: int | None = None
    ) -> Iterator[ScreenedEntry]:
        """`screen` for many, in order, bounded memory, several processes where it pays."""
        for entry in entries:
            yield self.screen(entry)

    def record(self) -> ScreeningRecord:
        """What has been screened so far."""
        return ScreeningRecord(
            action=self.action,
            counts=dict(self._counts),
            num_rows=self._rows,
            rows_touched=self._touched,
            rows_dropped=self._dropped,
            rules_version=self._screen.version,
            screened_at=datetime.now(UTC).isoformat(timespec="seconds"),
            confirmation=self.confirmation,
        )

"""What is kept on a dataset's card: where it came from and what was done to it.

Counts, names and choices, never text of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a dataset came from.

    Attributes:
        name: What the user calls it: the file's own name or the sample's.
        sha256: Hash of the file as it was given.
        num_bytes: Its size.
        format: Reader that understood it, such as `jsonl`.
        encoding: Text encoding that was found.
        read_at: UTC time, ISO 8601.
        app_version: Version of medqlora that read it.
        revision: The commit of the hub that it was fetched from, if it was.
        licence: The licence as the hub states it.
    """

    name: str
    sha256: str
    num_bytes: int
    format: str
    encoding: str
    read_at: str
    app_version: str
    revision: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhiFindings:
    """What the PHI screen found in a draft.

    Attributes:
        num_rows: Rows that were screened.
        num_rows_with_phi: Rows with at least one finding.
        spans_by_kind: Findings by kind, most first.
        rows_by_kind: Rows with a finding by kind.
    """

    num_rows: int
    num_rows_with_phi: int
    spans_by_kind: Mapping[str, int] = field(default_factory=dict)
    rows_by_kind: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleaningRecord:
    """What cleaning did.

    Attributes:
        steps: Names of the steps taken.
        counts: Rows that each step changed or left out.
        num_rows_changed: Rows that any step changed.
        num_rows_dropped: Rows that any step left out.
    """

    steps: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    num_rows_changed: int = 0
    num_rows_dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRecord:
    """How entries were held out.

    Attributes:
        label: Column whose values both sides got alike, empty when none.
        group: Column whose equal values stayed on one side, empty when none.
        by_context: Whether all questions were the same, so that the context told rows apart.
        num_groups: Groups of rows that had to stay together.
        train_labels: Training entries by label.
        eval_labels: Held-out entries by label.
    """

    label: str = ""
    group: str = ""
    by_context: bool = False
    num_groups: int = 0
    train_labels: Mapping[str, int] = field(default_factory=dict)
    eval_labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Training entries that ask what a benchmark asks.

    Each training entry counts once, under the closest match.

    Attributes:
        benchmark: The held-out entries, or the name of a file.
        num_items: Questions in it.
        num_exact: Training entries with the same question, letter by letter.
        num_normalised: With the same question but for case, spaces and edge punctuation.
        num_near: With a question of which at least four fifths of all five-letter pieces are
            shared.
        num_items_met: Questions of the benchmark that any of these meet.
    """

    benchmark: str
    num_items: int
    num_exact: int = 0
    num_normalised: int = 0
    num_near: int = 0
    num_items_met: int = 0

    @property
    def num_entries(self) -> int:
        """Training entries that overlap in any way."""
        return self.num_exact + self.num_normalised + self.num_near

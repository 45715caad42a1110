"""Holds entries out for evaluation, seeded, so that the same question never lies on both sides.

Rows are looked at one after the other and only numbers are kept: which question, which patient or
document, which label. Rows that share a question or such a column stay together.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medqlora.data.normalising import fingerprint, normalised
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.preparing import ANSWER_LABEL
from medqlora.domain.records import SplitRecord
from medqlora.errors import ConfigError, DataError

MAX_EVAL_SHARE = 0.5
_MAX_LABEL_CHARS = 60
_MAX_LABELS_RECORDED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Entries to train on and entries held out, each in file order."""

    train: tuple[MedicalDataEntry, ...]
    eval: tuple[MedicalDataEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPlan:
    """Which rows are held out.

    Attributes:
        held_out: One byte a row in file order, 1 for a row that is held out.
        record: How it was decided.
    """

    held_out: bytes
    record: SplitRecord


def stem_of(entry: MedicalDataEntry) -> str:
    """The question of an entry, without the options of a choice."""
    stem = entry.metadata.get("stem")
    return stem if isinstance(stem, str) else entry.question


def value_of(entry: MedicalDataEntry, column: str) -> str:
    """The value of a column, or the answer for `ANSWER_LABEL`; empty where there is none."""
    value = entry.answer if column == ANSWER_LABEL else entry.metadata.get(column)
    return "" if value is None else str(value)


def label_of(value: str) -> str:
    """A value as a label: values that differ in case or spaces are one, and none is long."""
    return normalised(value)[:_MAX_LABEL_CHARS]


class SplitPlanner:
    """Decides which rows are held out, once it has seen all.

    Which they are depends on the seed and on what the rows say, not on their order.

    Args:
        eval_share: Share of the rows to hold out, 0 to 0.5; at most that many are.
        seed: Any whole number.
        label: Column whose values both sides get alike, empty for none.
        group: Column whose equal values stay on one side, empty for none.

    Raises:
        ConfigError: The share is out of range.
    """

    def __init__(self, *, eval_share: float, seed: int, label: str = "", group: str = "") -> None:
        if not 0 <= eval_share <= MAX_EVAL_SHARE:
            raise ConfigError(
                f"The share to hold out must be between 0 and {MAX_EVAL_SHARE}, got {eval_share}.",
                hint="0.1 suits most datasets.",
            )
        self._eval_share = eval_share
        self._seed = seed
        self._label = label
        self._group = group
        self._questions = _Numbers()
        self._contexts = _Numbers()
        self._groups = _Numbers()
        self._labels = _Numbers()

    def add(self, entry: MedicalDataEntry, *, group: str | None = None) -> None:
        """Takes note of the next row.

        Args:
            entry: The row.
            group: Its value in the column to group by, where the entry no longer has the true one
                because it was masked.
        """
        self._questions.add(normalised(stem_of(entry)))
        self._contexts.add(normalised(entry.context or ""))
        if self._group:
            value = value_of(entry, self._group) if group is None else group
            self._groups.add(value.strip())
        if self._label:
            self._labels.add(label_of(value_of(entry, self._label)))

    def plan(self) -> SplitPlan:
        """Which rows are held out.

        Raises:
            DataError: There are too few rows, or all of them have to stay together.
        """
        num_rows = len(self._questions.rows)
        if num_rows < 2:
            raise DataError(
                f"There {_are(num_rows)} to train on, and at least 2 are needed.",
                hint="Give a file with more questions that have an answer.",
            )
        # One question about many texts, such as "Summarise this report.": those tell rows apart.
        by_context = len(self._questions.keys) < 2
        keys = self._contexts if by_context else self._questions
        members = self._members(keys)
        held_out = bytearray(num_rows)
        if self._eval_share:
            self._check_groups(keys, members)
            for row in self._chosen(keys, members):
                held_out[row] = 1
        return SplitPlan(
            held_out=bytes(held_out),
            record=SplitRecord(
                label=self._label,
                group=self._group,
                by_context=by_context,
                num_groups=len(members),
                train_labels=self._labels_where(held_out, 0),
                eval_labels=self._labels_where(held_out, 1),
            ),
        )

    def _members(self, keys: _Numbers) -> list[array[int]]:
        """Rows that have to stay together, as lists of row numbers."""
        links = _Links(len(keys.keys) + len(self._groups.keys))
        if self._group:
            nobody = self._groups.number_of("")
            for key, group in zip(keys.rows, self._groups.rows, strict=True):
                if group != nobody:
                    links.join(key, len(keys.keys) + group)
        together: dict[int, array[int]] = defaultdict(lambda: array("q"))
        for row, key in enumerate(keys.rows):
            together[links.root(key)].append(row)
        return list(together.values())

    def _check_groups(self, keys: _Numbers, members: Sequence[array[int]]) -> None:
        if len(members) > 1:
            return
        if len(keys.keys) > 1:
            raise DataError(
                f"Rows that share a question or a value of {self._group} stay together, and those "
                "are all rows, so none can be held out.",
                hint="Choose another column to group by or none, or hold out a share of 0.",
            )
        raise DataError(
            f"All {len(keys.rows)} rows ask the same question, so none can be held out.",
            hint="Check which column is the prompt, or hold out a share of 0.",
        )

    def _chosen(self, keys: _Numbers, members: Sequence[array[int]]) -> Iterable[int]:
        order = sorted(members, key=lambda rows: self._position(keys, rows))
        target = max(1, round(self._eval_share * len(keys.rows)))
        strata: dict[int, list[array[int]]] = defaultdict(list)
        for rows in order:
            strata[self._main_label(rows)].append(rows)
        chosen: list[array[int]] = []
        for stratum, wanted in _targets(strata, target).items():
            chosen += _fitting(strata[stratum], wanted)
        # Groups are taken whole, so that a little may be missing: it is taken from any label.
        taken = {id(rows) for rows in chosen}
        missing = target - sum(map(len, chosen))
        chosen += _fitting([rows for rows in order if id(rows) not in taken], missing)
        return [row for rows in chosen or [min(order, key=len)] for row in rows]

    def _position(self, keys: _Numbers, rows: array[int]) -> bytes:
        named = min(keys.keys[keys.rows[row]] for row in rows)
        return hashlib.sha256(f"{self._seed}\n{named:x}".encode()).digest()

    def _main_label(self, rows: array[int]) -> int:
        if not self._label:
            return 0
        return Counter(self._labels.rows[row] for row in rows).most_common(1)[0][0]

    def _labels_where(self, held_out: bytearray, side: int) -> dict[str, int]:
        names = self._labels.texts
        counts = Counter(
            names.get(label, "(other)")
            for label, where in zip(self._labels.rows, held_out, strict=False)
            if where == side
        )
        return dict(counts.most_common(_MAX_LABELS_RECORDED))


def split_entries(entries: Sequence[MedicalDataEntry], *, eval_share: float, seed: int) -> Split:
    """Splits entries that are in memory; `SplitPlanner` says how, and which errors there are."""
    planner = SplitPlanner(eval_share=eval_share, seed=seed)
    for entry in entries:
        planner.add(entry)
    held_out = planner.plan().held_out
    return Split(
        train=tuple(one for one, is_out in zip(entries, held_out, strict=True) if not is_out),
        eval=tuple(one for one, is_out in zip(entries, held_out, strict=True) if is_out),
    )


class _Numbers:
    """Texts as numbers: equal texts get the same.

    Attributes:
        rows: The number of each row's text.
        keys: The fingerprint of each number's text.
        texts: The text of each number, for the few that are short enough to be labels.
    """

    def __init__(self) -> None:
        self.rows = array("q")
        self.keys = array("Q")
        self.texts: dict[int, str] = {}
        self._numbers: dict[int, int] = {}

    def add(self, text: str) -> None:
        """Notes the text of the next row."""
        key = fingerprint(text)
        number = self._numbers.setdefault(key, len(self._numbers))
        if number == len(self.keys):
            self.keys.append(key)
            if len(text) <= _MAX_LABEL_CHARS and number < 1_000:
                self.texts[number] = text
        self.rows.append(number)

    def number_of(self, text: str) -> int | None:
        """The number of a text, or None when no row has it."""
        return self._numbers.get(fingerprint(text))


class _Links:
    """Which numbers belong together (union-find with path halving)."""

    def __init__(self, size: int) -> None:
        self._parents = array("q", range(size))

    def root(self, number: int) -> int:
        """The number that stands for all that belong together with this one."""
        parents = self._parents
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Lets two numbers belong together."""
        self._parents[self.root(one)] = self.root(other)


def _targets(strata: Mapping[int, Sequence[array[int]]], target: int) -> dict[int, int]:
    """How many rows of each stratum make `target` in all, in proportion (largest remainders)."""
    sizes = {stratum: sum(map(len, members)) for stratum, members in strata.items()}
    exact = {stratum: target * size / sum(sizes.values()) for stratum, size in sizes.items()}
    whole = {stratum: int(share) for stratum, share in exact.items()}
    by_remainder = sorted(exact, key=lambda stratum: whole[stratum] - exact[stratum])
    for stratum in by_remainder[: target - sum(whole.values())]:
        whole[stratum] += 1
    return whole


def _fitting(members: Iterable[array[int]], target: int) -> list[array[int]]:
    """The first of these that make at most `target` rows."""
    chosen: list[array[int]] = []
    for rows in members:
        if len(rows) <= target:
            chosen.append(rows)
            target -= len(rows)
    return chosen


def _are(count: int) -> str:
    return {0: "are no valid rows", 1: "is 1 valid row"}.get(count, f"are {count} valid rows")

"""A draft and the user's choices become a dataset: cleaned, screened, split, compared.

Three passes over files, one row at a time: the first cleans and screens and takes note of what the
split needs, the second writes both sides, the third looks for training questions that the held-out
entries or a benchmark also ask.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from medqlora.data.cleaning import Cleaner
from medqlora.data.entries import entry_line, iter_entries
from medqlora.data.loader import MedicalDatasetLoader
from medqlora.data.phi.entries import EntryScreener
from medqlora.data.phi.screen import PhiScreen
from medqlora.data.preparing.hints import is_patient
from medqlora.data.preparing.overlap import OverlapIndex
from medqlora.data.preparing.prepared import CARD, SIDES, digest_of_sides
from medqlora.data.preparing.records import DraftFiles, write_record
from medqlora.data.splitting import SplitPlan, SplitPlanner, stem_of, value_of
from medqlora.domain.dataset import DatasetCard, MedicalDataEntry
from medqlora.domain.phi import ScreeningRecord
from medqlora.domain.preparing import Choices, Draft, DraftRow
from medqlora.domain.records import CleaningRecord, Overlap
from medqlora.errors import DataError, PhiDecisionNeededError
from medqlora.persistence.atomic import translated_os_errors

HELD_OUT = "The held-out entries"
_READ_AHEAD_CHARS = 20_000_000

OnRows = Callable[[str, int], None]
"""Told what is being done and how many rows of it are; may raise to stop."""


def finish(
    draft: Draft,
    files: DraftFiles,
    choices: Choices,
    folder: Path,
    *,
    dataset_id: str,
    on_rows: OnRows,
) -> DatasetCard:
    """Makes a dataset of a draft in `folder`, which exists and is empty.

    Raises:
        PhiDecisionNeededError: The PHI screen found something and `choices` do not say what to do.
        DataError: There is too little to train on or to hold out, or a benchmark cannot be read.
        ConfigError: The share to hold out is out of range.
        DiskFullError: No space is left.
    """
    group = _chosen(choices.group, draft.hints.groups)
    label = _chosen(choices.label, draft.hints.labels)
    _check_columns(draft, label, group)
    planner = SplitPlanner(
        eval_share=choices.eval_share, seed=choices.seed, label=label, group=group
    )
    with translated_os_errors(folder):
        all_entries = folder / "all.jsonl"
        treated = _treat(draft, files, choices, all_entries, planner, group, on_rows)
        plan = planner.plan()
        written = _write_sides(all_entries, plan, folder, on_rows)
        all_entries.unlink()
        overlaps = _overlaps(folder, choices, plan, on_rows)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        card = DatasetCard(
            dataset_id=dataset_id,
            name=draft.provenance.name,
            source_sha256=draft.provenance.sha256,
            format=draft.provenance.format,
            encoding=draft.provenance.encoding,
            columns=draft.columns,
            mapping=draft.mapping,
            validation=draft.validation,
            num_train=written.num_train,
            num_eval=written.num_eval,
            eval_share=choices.eval_share,
            seed=choices.seed,
            created_at=now,
            used_at=now,
            sha256=written.sha256,
            warnings=draft.warnings,
            provenance=draft.provenance,
            cleaning=treated.cleaning,
            screening=treated.screening,
            split=plan.record,
            overlaps=overlaps,
            licence=choices.licence,
        )
        write_record(folder / CARD, card)
    return card


def decision_needed(spans_by_kind: dict[str, int], num_rows: int) -> PhiDecisionNeededError:
    """The refusal to go on with what the PHI screen found as long as nobody said what to do."""
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in spans_by_kind.items())
    rows = "1 row" if num_rows == 1 else f"{num_rows:,} rows"
    return PhiDecisionNeededError(
        f"The PHI screen found what may identify a person in {rows} ({kinds}).",
        hint="Choose whether to mask it, to put surrogates in its place, to drop those rows, or to "
        "keep it after a typed confirmation.",
        spans_by_kind=spans_by_kind,
    )


def _chosen(given: str | None, hints: tuple[str, ...]) -> str:
    return given if given is not None else next(iter(hints), "")


def _check_columns(draft: Draft, label: str, group: str) -> None:
    known = {"", *draft.columns, *draft.hints.labels, *draft.hints.groups}
    for column in (label, group):
        if column not in known:
            raise DataError(
                f"{draft.provenance.name} has no column called {column[:40]}.",
                hint="Choose one of its columns, or none.",
            )


@dataclass(frozen=True, slots=True)
class _Treated:
    cleaning: CleaningRecord
    screening: ScreeningRecord


def _treat(
    draft: Draft,
    files: DraftFiles,
    choices: Choices,
    target: Path,
    planner: SplitPlanner,
    group: str,
    on_rows: OnRows,
) -> _Treated:
    """Cleans and screens every row into `target`."""
    screener = EntryScreener(
        choices.phi or "mask",
        confirmation=choices.phi_confirmation or None,
        patient_field=group if is_patient(group) else None,
    )
    cleaner = _CountingCleaner(choices.cleaning)
    is_current = draft.rules_version == PhiScreen.version
    with target.open("w", encoding="utf-8", newline="\n") as lines:
        # Masking makes all patients one: who belongs together is what stood there before.
        groups: deque[str] = deque()

        def rows() -> Iterator[DraftRow]:
            for row in files.iter_rows():
                if cleaned := cleaner.clean(row):
                    groups.append(value_of(row.entry, group) if group else "")
                    yield cleaned

        entries = _screened(rows(), screener, is_current=is_current)
        for count, entry in enumerate(entries, start=1):
            together = groups.popleft()
            if entry is not None:
                planner.add(entry, group=together)
                lines.write(entry_line(entry if choices.phi == "keep" else _unnamed(entry)))
            on_rows("Cleaning and screening", count)
    cleaning = cleaner.record()
    screening = replace(screener.record(), num_rows=draft.num_entries - cleaning.num_rows_dropped)
    if choices.phi is None and screening.rows_touched:
        counts = {str(kind): count for kind, count in screening.counts.items()}
        raise decision_needed(counts, screening.rows_touched)
    return _Treated(cleaning, screening)


def _unnamed(entry: MedicalDataEntry) -> MedicalDataEntry:
    """The entry without the columns that say whose row it is: they serve the split alone."""
    kept = {name: value for name, value in entry.metadata.items() if not is_patient(name)}
    return entry if len(kept) == len(entry.metadata) else replace(entry, metadata=kept)


class _CountingCleaner:
    """Cleans rows and counts those that were changed or left out by any step."""

    def __init__(self, steps: tuple[str, ...]) -> None:
        self._cleaner = Cleaner(steps)
        self._num_changed = self._num_dropped = 0

    def clean(self, row: DraftRow) -> DraftRow | None:
        """The row with its texts mended, or None where it is left out.

        What cleaning changes has to be screened again, which more than no finding stands for.
        """
        if self._cleaner.drops(row.codes):
            self._num_dropped += 1
            return None
        entry = self._cleaner.clean(row.entry)
        if entry is row.entry:
            return row
        self._num_changed += 1
        return replace(row, entry=entry, num_findings=max(row.num_findings, 1))

    def record(self) -> CleaningRecord:
        """What was done so far."""
        return CleaningRecord(
            steps=self._cleaner.steps,
            counts=self._cleaner.counts,
            num_rows_changed=self._num_changed,
            num_rows_dropped=self._num_dropped,
        )


def _screened(
    rows: Iterable[DraftRow], screener: EntryScreener, *, is_current: bool
) -> Iterator[MedicalDataEntry | None]:
    """Every entry after the screener's action, None for one that was dropped.

    A row in which the draft's screen found nothing is not screened again.
    """
    ahead: deque[MedicalDataEntry | None] = deque()  # None stands for one that is being screened
    num_chars = 0

    def to_screen() -> Iterator[MedicalDataEntry]:
        nonlocal num_chars
        for row in rows:
            if is_current and not row.num_findings and num_chars < _READ_AHEAD_CHARS:
                num_chars += _size(row.entry)
                ahead.append(row.entry)
            else:
                ahead.append(None)
                yield row.entry

    for screened in screener.screen_all(to_screen()):
        while (entry := ahead.popleft()) is not None:
            num_chars -= _size(entry)
            yield entry
        yield screened.entry
    yield from ahead


def _size(entry: MedicalDataEntry) -> int:
    return len(entry.question) + len(entry.answer) + len(entry.context or "")


@dataclass(frozen=True, slots=True)
class _Written:
    num_train: int
    num_eval: int
    sha256: str


def _write_sides(source: Path, plan: SplitPlan, folder: Path, on_rows: OnRows) -> _Written:
    hashes = (hashlib.sha256(), hashlib.sha256())
    with (
        (folder / SIDES[0]).open("wb") as train,
        (folder / SIDES[1]).open("wb") as held_out,
        source.open("rb") as lines,
    ):
        for row, line in enumerate(lines):
            side = plan.held_out[row]
            (train, held_out)[side].write(line)
            hashes[side].update(line)
            on_rows("Splitting", row + 1)
    num_eval = sum(plan.held_out)
    return _Written(
        num_train=len(plan.held_out) - num_eval,
        num_eval=num_eval,
        sha256=digest_of_sides(one.hexdigest() for one in hashes),
    )


def _overlaps(
    folder: Path, choices: Choices, plan: SplitPlan, on_rows: OnRows
) -> tuple[Overlap, ...]:
    """What the training entries share with the held-out ones and with each benchmark."""

    def asked(entry: MedicalDataEntry) -> str:
        return (entry.context or "") if plan.record.by_context else stem_of(entry)

    indices = [OverlapIndex(HELD_OUT, (asked(one) for one in iter_entries(folder / "eval.jsonl")))]
    for file in choices.benchmarks:
        path = Path(file)
        with MedicalDatasetLoader(scratch=folder.parent).open(path) as stream:
            entries = (one.entry for one in stream.candidates if one.entry is not None)
            indices.append(OverlapIndex(path.name, map(asked, entries)))
    for count, entry in enumerate(iter_entries(folder / "train.jsonl"), start=1):
        for index in indices:
            index.look_up(asked(entry))
        on_rows("Comparing with the benchmarks", count)
    return tuple(index.overlap() for index in indices)

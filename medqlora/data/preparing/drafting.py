"""A file becomes a draft: read completely, checked, screened for PHI, counted; nothing is decided.

One row at a time: the rows go to the disk, and what is kept in memory are counts, fingerprints and
a few examples of what the PHI screen found.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medqlora.data.cleaning import CLEANING_STEPS, Cleaner, CleaningExample
from medqlora.data.loader import MedicalDatasetLoader
from medqlora.data.phi.bulk import screen_many
from medqlora.data.phi.entries import told
from medqlora.data.phi.screen import PhiScreen
from medqlora.data.preparing.hints import HintCounter
from medqlora.data.preparing.records import DraftFiles, row_line, write_record
from medqlora.data.stream import DatasetStream, unreadable
from medqlora.data.validator import DataValidator
from medqlora.domain.dataset import ColumnMapping, MedicalDataEntry
from medqlora.domain.phi import PhiSpan
from medqlora.domain.preparing import Draft, DraftRow, PhiExample
from medqlora.domain.records import PhiFindings, Provenance
from medqlora.domain.version import VERSION
from medqlora.persistence.atomic import translated_os_errors, write_json

EXAMPLES_A_KIND = 8
_CHARS_AROUND = 60
# White space answers no finding, so that it would have to be tried on every row.
_MENDABLE = frozenset(code for code, step in CLEANING_STEPS.items() if step.mend) - {"white_space"}

OnRows = Callable[[int], None]
"""Told how many rows were done so far; may raise to stop."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read.

    Attributes:
        path: Where it is; archives are unpacked beside the draft.
        revision: The commit of the hub that it was fetched from, if it was.
        licence: The licence as the hub states it.
    """

    path: Path
    revision: str = ""
    licence: str = ""


def write_draft(
    source: SourceFile,
    folder: Path,
    *,
    draft_id: str,
    name: str,
    sha256: str,
    mapping: ColumnMapping | None,
    on_rows: OnRows,
) -> Draft:
    """Reads a file and leaves a draft in `folder`, which exists and is empty.

    Args:
        source: The file.
        folder: Where the draft goes.
        draft_id: Its id.
        name: What the user calls the file.
        sha256: Hash of the file.
        mapping: What its columns mean; found out when None.
        on_rows: Told how many rows were screened; may raise to stop.

    Raises:
        DataError: The file cannot be used.
        MappingNeededError: Its columns do not say by themselves what they mean.
        DiskFullError: No space is left.
    """
    files, reading = DraftFiles(folder), _Reading()
    loader = MedicalDatasetLoader(scratch=folder.parent)
    with loader.open(source.path, mapping) as stream, translated_os_errors(folder):
        reading.write_rows(stream, files.rows, on_rows)
        validation = reading.validator.result()
        if validation.counts.corrupted == validation.counts.rows:
            raise unreadable(name, reading.validator.first_problem)
        write_json(files.phi_examples, [asdict(one) for one in reading.findings.examples])
        write_json(files.cleaning_examples, _plain(reading.cleaner.examples))
        draft = Draft(
            draft_id=draft_id,
            provenance=_provenance(source, stream, name=name, sha256=sha256),
            columns=stream.columns,
            mapping=stream.mapping,
            asked_mapping=mapping,
            validation=validation,
            num_entries=reading.findings.num_rows,
            phi=reading.findings.summary(),
            mendable=reading.cleaner.counts,
            hints=reading.hints.hints(),
            rules_version=PhiScreen.version,
            warnings=stream.warnings,
            samples=stream.samples,
        )
        write_record(files.record, draft)
    return draft


class _Reading:
    """What is counted while rows go by."""

    def __init__(self) -> None:
        self.validator = DataValidator()
        self.hints = HintCounter()
        self.findings = _Findings()
        self.cleaner = Cleaner(_MENDABLE)  # shows what it would do; rows stay as they are

    def write_rows(self, stream: DatasetStream, target: Path, on_rows: OnRows) -> None:
        """Writes the valid rows of a file, each with what was found about it."""

        def say() -> None:
            on_rows(self.findings.num_rows)

        with target.open("w", encoding="utf-8", newline="\n") as lines:
            for row, spans in _screened(_valid_rows(stream, self.validator, say)):
                say()
                self.hints.add(row.entry)
                if not _MENDABLE.isdisjoint(row.codes):
                    self.cleaner.clean(row.entry)
                lines.write(row_line(replace(row, num_findings=self.findings.add(row, spans))))


def _provenance(source: SourceFile, stream: DatasetStream, *, name: str, sha256: str) -> Provenance:
    return Provenance(
        name=name,
        sha256=sha256,
        num_bytes=source.path.stat().st_size,
        format=stream.format,
        encoding=stream.encoding,
        read_at=datetime.now(UTC).isoformat(timespec="seconds"),
        app_version=VERSION,
        revision=source.revision,
        licence=source.licence,
    )


def _plain(examples: Mapping[str, tuple[CleaningExample, ...]]) -> dict[str, Any]:
    return {code: [asdict(one) for one in found] for code, found in examples.items()}


def parts_of(entry: MedicalDataEntry) -> list[tuple[str, str]]:
    """Every text of an entry with the name of its part."""
    texts = [("question", entry.question), ("answer", entry.answer), ("context", entry.context)]
    texts += [(key, value) for key, value in entry.metadata.items() if isinstance(value, str)]
    return [(part, text) for part, text in texts if text]


def _valid_rows(
    stream: DatasetStream, validator: DataValidator, on_row: Callable[[], None]
) -> Iterator[DraftRow]:
    for candidate in stream.candidates:
        on_row()
        check = validator.check(candidate)
        if check.is_valid and candidate.entry is not None:
            yield DraftRow(
                number=candidate.number,
                entry=candidate.entry,
                num_findings=0,
                codes=tuple(sorted(check.codes)),
            )


def _screened(rows: Iterator[DraftRow]) -> Iterator[tuple[DraftRow, dict[str, list[PhiSpan]]]]:
    """Each row with the findings in its parts; the screen may read some rows ahead."""
    ahead: deque[tuple[DraftRow, list[str]]] = deque()

    def texts() -> Iterator[str]:
        for row in rows:
            parts = parts_of(row.entry)
            ahead.append((row, [part for part, _ in parts]))
            for _, text in parts:
                yield text

    found = screen_many(texts())
    for spans in found:
        row, parts = ahead.popleft()
        others = [next(found) for _ in parts[1:]]
        both = zip(parts, [spans, *others], strict=True)
        yield row, {part: told(part, found_in) for part, found_in in both}


class _Findings:
    """Counts what the screen found and keeps a few examples of each kind."""

    def __init__(self) -> None:
        self.num_rows = 0
        self.examples: list[PhiExample] = []
        self._num_with = 0
        self._spans: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()

    def add(self, row: DraftRow, spans: dict[str, list[PhiSpan]]) -> int:
        """Counts one row and returns how many findings it has."""
        kinds = Counter(str(span.kind) for found in spans.values() for span in found)
        self.num_rows += 1
        self._num_with += bool(kinds)
        for kind in kinds:
            self._rows[kind] += 1
        if kinds:
            texts = dict(parts_of(row.entry))
            for part, found in spans.items():
                for span in found:
                    self._show(row.number, part, texts[part], span)
        self._spans += kinds
        return kinds.total()

    def summary(self) -> PhiFindings:
        """The counts so far."""
        return PhiFindings(
            num_rows=self.num_rows,
            num_rows_with_phi=self._num_with,
            spans_by_kind=dict(self._spans.most_common()),
            rows_by_kind=dict(self._rows.most_common()),
        )

    def _show(self, row: int, part: str, text: str, span: PhiSpan) -> None:
        if sum(one.kind == span.kind for one in self.examples) >= EXAMPLES_A_KIND:
            return
        self.examples.append(
            PhiExample(
                kind=span.kind,
                row=row,
                part=part,
                before=text[max(0, span.start - _CHARS_AROUND) : span.start],
                text=text[span.start : span.end],
                after=text[span.end : span.end + _CHARS_AROUND],
                reason=span.reason,
            )
        )

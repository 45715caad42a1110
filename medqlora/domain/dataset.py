"""What a medical dataset is: entries, how columns map to them, findings, and a split.

These types carry counts, row numbers and choices. They do not read files (`data.loader` does) and
do not judge (`data.validator` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from medqlora.domain.phi import ScreeningRecord
from medqlora.domain.records import (
    CleaningRecord,
    Overlap,
    Provenance,
    SplitRecord,
)

Severity = Literal["error", "warning", "info"]
AnswerBy = Literal["text", "letter", "from_0", "from_1"]


@dataclass(frozen=True, slots=True)
class MedicalDataEntry:
    """One question with its answer.

    Attributes:
        question: What the user asks.
        answer: What the model should say.
        context: Text the question refers to (an abstract, a dialogue), or None.
        metadata: Everything else of the row that is kept, such as `specialty` or an id. For
            multiple choice, where the question ends with the options, `stem` is the question
            without them.
    """

    question: str
    answer: str
    context: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMapping:
    """Which columns of a table become which part of an entry.

    Attributes:
        prompt: Columns joined by a newline to make the question.
        response: The column with the answer.
        context: The column with the text the question refers to, or None.
        options: The columns with the answers to choose from, or one column that holds them all;
            empty for open questions.
        answer_by: How `response` names the right option: by its text, its letter, or its number
            counted from 0 or 1.
        reason: Why this reading was chosen, one sentence for the user.
        confidence: How sure the reading is, 0 to 1: by a rule for each kind of evidence, not a
            measured share. 1 is what the user said.
    """

    prompt: tuple[str, ...]
    response: str
    context: str | None = None
    options: tuple[str, ...] = ()
    answer_by: AnswerBy = "text"
    reason: str = ""
    confidence: float = 1.0

    @property
    def meaning(self) -> tuple[Any, ...]:
        """What it says, without why and how surely: equal for mappings that read a table alike."""
        return self.prompt, self.response, self.context, self.options, self.answer_by


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationIssue:
    """One finding about the data.

    Attributes:
        code: Stable name of the kind of finding, such as `missing_or_empty`.
        severity: `error` rows are left out, `warning` rows are kept and shown, `info` is for
            reading.
        message: One plain sentence, without text of any row.
        rows: Numbers of the first rows concerned, counted from 1 in file order.
        count: How many rows are concerned in all.
        places: Where a person finds those rows, such as "line 7"; one for each of `rows`.
    """

    code: str
    severity: Severity
    message: str
    rows: tuple[int, ...] = ()
    count: int = 0
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RowCheck:
    """What checking one row found.

    Attributes:
        is_valid: Whether it can be trained on.
        codes: The findings about it, as in `ValidationIssue.code`.
    """

    is_valid: bool
    codes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationCounts:
    """The counts of a dataset, in the meanings of the README's section on data.

    Attributes:
        rows: Entries found in the file, readable or not.
        valid: Rows whose prompt and response are both text and not a placeholder such as "n/a".
        missing_or_empty: Rows where one of them is missing, blank or a placeholder.
        corrupted: Rows that could not be read as an entry at all.
        dup_exact: Rows after the first with the same prompt and response.
        dup_normalised: The same after folding case, white space, invisible characters and edge
            punctuation.
        dup_prompt_conflict: Rows whose normalised prompt was seen before with another response.
        resp_lt_10_chars: Responses shorter than 10 characters.
        resp_lt_3_words: Responses of fewer than 3 words.
        html: Rows with remnants of HTML.
        control_or_invisible: Rows with control or invisible characters.
        over_20k_chars: Rows of more than 20,000 characters.
        max_chars: Length of the longest row in characters, prompt, newline and response.
    """

    rows: int = 0
    valid: int = 0
    missing_or_empty: int = 0
    corrupted: int = 0
    dup_exact: int = 0
    dup_normalised: int = 0
    dup_prompt_conflict: int = 0
    resp_lt_10_chars: int = 0
    resp_lt_3_words: int = 0
    html: int = 0
    control_or_invisible: int = 0
    over_20k_chars: int = 0
    max_chars: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationResult:
    """What checking a dataset found.

    Attributes:
        is_valid: True when at least one row can be trained on.
        counts: The counts.
        issues: The findings behind the counts, most serious first.
    """

    is_valid: bool
    counts: ValidationCounts
    issues: tuple[ValidationIssue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadResult:
    """A file as it was read.

    Attributes:
        name: The file's own name.
        format: Reader that understood it, such as `jsonl`.
        encoding: Text encoding that was found, or `binary`.
        columns: Columns of the file in file order.
        mapping: How columns became entries.
        entries: The valid rows, in file order; the first of them where a limit was asked for.
        validation: What checking found in all rows.
        warnings: Sentences about the file as a whole.
        samples: A few values of each column, cut short: text of rows, for the user's eyes, and not
            in `to_json`.
    """

    name: str
    format: str
    encoding: str
    columns: tuple[str, ...]
    mapping: ColumnMapping
    entries: tuple[MedicalDataEntry, ...]
    validation: ValidationResult
    warnings: tuple[str, ...] = ()
    samples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def counts(self) -> ValidationCounts:
        """The counts behind the findings."""
        return self.validation.counts

    def to_json(self) -> dict[str, Any]:
        """All but the entries, flat, for machines.

        `warnings` also holds the findings that are more than remarks.
        """
        issues = self.validation.issues
        found = [issue.message for issue in issues if issue.severity != "info"]
        return {
            **asdict(self.counts),
            "columns": list(self.columns),
            "mapping": asdict(self.mapping),
            "format": self.format,
            "encoding": self.encoding,
            "warnings": [*self.warnings, *found],
            "issues": [asdict(issue) for issue in issues],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard:
    """A prepared dataset in the workspace: where it came from and how it was read and split.

    Attributes:
        dataset_id: Name of its folder in the workspace.
        name: What the user sees: the file's own name or the sample's.
        source_sha256: Hash of the file as it was given.
        format: Reader that understood it, such as `jsonl`.
        encoding: Text encoding that was found.
        columns: Columns of the source in file order.
        mapping: How columns became entries.
        validation: What checking found.
        num_train: Entries to train on.
        num_eval: Entries held out.
        eval_share: Share that was asked to be held out, 0 to 0.5.
        seed: Seed of the split.
        created_at: UTC time, ISO 8601.
        sha256: Hash of the prepared entries and their split.
        warnings: Sentences about the file as a whole.
        used_at: When it was last chosen, as `created_at`; empty on old cards.
        provenance: Where it came from; None on cards older than the PHI screen, as the next four.
        cleaning: What cleaning did.
        screening: That it was screened for PHI, and what was done; not to be trained on when None.
        split: How entries were held out.
        overlaps: Training entries that ask what the held-out entries or a benchmark ask.
        licence: What the user noted about licence and permission.
    """

    dataset_id: str
    name: str
    source_sha256: str
    format: str
    encoding: str
    columns: tuple[str, ...]
    mapping: ColumnMapping
    validation: ValidationResult
    num_train: int
    num_eval: int
    eval_share: float
    seed: int
    created_at: str
    sha256: str
    warnings: tuple[str, ...] = ()
    used_at: str = ""
    provenance: Provenance | None = None
    cleaning: CleaningRecord | None = None
    screening: ScreeningRecord | None = None
    split: SplitRecord | None = None
    overlaps: tuple[Overlap, ...] = ()
    licence: str = ""

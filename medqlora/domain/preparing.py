"""From a file to a prepared dataset: a draft, what the user chooses, and how long entries are.

A draft is a file as it was read: everything the user has to know before choosing. What remains of
the choices are `domain.records`. Only `PhiExample`, `DraftRow`, `ProofToken` and samples carry text
of rows: they are for the screen and never for a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from medqlora.domain.dataset import ColumnMapping, MedicalDataEntry, ValidationResult
from medqlora.domain.phi import PhiAction
from medqlora.domain.records import PhiFindings, Provenance

ANSWER_LABEL = "(answer)"
"""Stands in for a column where the answer itself is the label, as in yes, no, maybe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhiExample:
    """One finding with a little of the text around it, for the user's eyes.

    Attributes:
        kind: What it may be.
        row: Number of the row, from 1 in file order.
        part: `question`, `answer`, `context` or the name of a kept column.
        before: Text in front of it.
        text: The finding itself.
        after: Text behind it.
        reason: Why the screen took it for PHI.
    """

    kind: str
    row: int
    part: str
    before: str
    text: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnHints:
    """Columns of a draft that a split may respect, the likeliest first.

    Attributes:
        labels: Columns of few different values; `ANSWER_LABEL` where the answer is one.
        groups: Columns that name a patient or a document.
    """

    labels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A file as it was read, before anything is decided.

    Attributes:
        draft_id: Its id, that of the import which made it.
        provenance: Where it came from.
        columns: Columns of the source in file order.
        mapping: How columns became entries.
        asked_mapping: The mapping that the user gave, or None.
        validation: What checking found.
        num_entries: Rows that can be trained on.
        phi: What the PHI screen found.
        mendable: Rows that each cleaning step would change, by its name.
        hints: Columns that a split may respect.
        rules_version: Version of the PHI screen's rules.
        warnings: Sentences about the file as a whole.
        samples: A few values of each column, cut short: text of rows, for the user's eyes.
    """

    draft_id: str
    provenance: Provenance
    columns: tuple[str, ...]
    mapping: ColumnMapping
    asked_mapping: ColumnMapping | None
    validation: ValidationResult
    num_entries: int
    phi: PhiFindings
    mendable: Mapping[str, int]
    hints: ColumnHints
    rules_version: str
    warnings: tuple[str, ...] = ()
    samples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the user calls the file."""
        return self.provenance.name

    @property
    def format(self) -> str:
        """Reader that understood it, such as `jsonl`."""
        return self.provenance.format

    @property
    def encoding(self) -> str:
        """Text encoding that was found."""
        return self.provenance.encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnQuestion:
    """What an import could not tell of its file's columns.

    Attributes:
        columns: The columns in file order.
        candidates: Readings to choose from, the likeliest first.
        samples: A few values of each column, cut short, for the user's eyes.
    """

    columns: tuple[str, ...]
    candidates: tuple[ColumnMapping, ...] = ()
    samples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRow:
    """One row of a draft, for a preview.

    Attributes:
        number: Number of the row, from 1 in file order.
        entry: The entry as it was read.
        num_findings: Findings of the PHI screen in it.
        codes: What checking found about it, as in `ValidationIssue.code`.
    """

    number: int
    entry: MedicalDataEntry
    num_findings: int
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user decides about a draft.

    Attributes:
        cleaning: Names of the cleaning steps to take, in any order; see `data.cleaning`.
        phi: What to do with what the PHI screen found; None where it found nothing.
        phi_confirmation: What the user typed, for `keep`; see `data.phi.entries.KEEP_CONFIRMATION`.
        eval_share: Share of the rows to hold out, 0 to 0.5.
        seed: Seed of the split.
        label: Column whose values both sides get alike; the first hint when None, none when empty.
        group: Column whose equal values stay on one side; the first hint when None, none when
            empty.
        benchmarks: Files whose questions are compared with the training rows.
        licence: What the user notes about licence and permission.
    """

    cleaning: tuple[str, ...] = ()
    phi: PhiAction | None = None
    phi_confirmation: str = ""
    eval_share: float = 0.1
    seed: int = 42
    label: str | None = None
    group: str | None = None
    benchmarks: tuple[str, ...] = ()
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthReport:
    """How long entries are for one model, and what a given length would cut off.

    Attributes:
        model_name: The model whose tokenizer counted.
        max_seq_length: The length that was asked about, in tokens.
        num_entries: Entries counted.
        longest: Tokens of the longest entry, prompt and answer.
        edges: Upper edges of the histogram's bins, in tokens.
        counts: Entries in each bin.
        num_cut: Entries that would be cut.
        num_without_answer: Entries of which no answer token would be left.
        answer_tokens: Answer tokens in all.
        answer_tokens_cut: Answer tokens that would be cut.
        length_for_99: Tokens that keep 99 % of the entries whole.
    """

    model_name: str
    max_seq_length: int
    num_entries: int
    longest: int
    edges: tuple[int, ...]
    counts: tuple[int, ...]
    num_cut: int
    num_without_answer: int
    answer_tokens: int
    answer_tokens_cut: int
    length_for_99: int

    @property
    def share_cut(self) -> float:
        """Share of the entries that would be cut, 0 to 1."""
        return self.num_cut / self.num_entries

    @property
    def share_of_answers_cut(self) -> float:
        """Share of all answer tokens that would be cut, 0 to 1."""
        return self.answer_tokens_cut / max(self.answer_tokens, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofToken:
    """One token of an entry as the model sees it.

    Attributes:
        token_id: Its id.
        text: What it stands for; several tokens may share a character, which the last of them has.
        is_trained: Whether the model learns to say it.
        is_cut: Whether it lies beyond the longest entry and is left away.
    """

    token_id: int
    text: str
    is_trained: bool
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateProof:
    """One entry exactly as training shows it to the model.

    Attributes:
        model_name: The model whose chat template was applied.
        max_seq_length: Longest entry in tokens.
        row: Position of the entry among those measured, from 1.
        tokens: Its first tokens.
        num_more: Tokens that are not in `tokens`, because there are too many to show.
        num_trained: Tokens that are learned.
        num_cut: Tokens that are left away.
    """

    model_name: str
    max_seq_length: int
    row: int
    tokens: tuple[ProofToken, ...]
    num_more: int
    num_trained: int
    num_cut: int

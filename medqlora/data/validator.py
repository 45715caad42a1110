"""DataValidator counts what is wrong with rows and says where. It mends nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields

from medqlora.data.findings import HARMLESS_FOR_CHOICES, ROW_FINDINGS, SAYS
from medqlora.data.labels import LabelCounts
from medqlora.data.normalising import Fingerprints, fingerprint, is_placeholder, normalised
from medqlora.data.reading import Candidate
from medqlora.domain.dataset import RowCheck, ValidationCounts, ValidationIssue, ValidationResult

MAX_ROWS_NAMED = 200
"""Rows that a finding names; all of them are counted."""


class DataValidator:
    """Checks rows one after the other, in bounded memory, and sums up.

    What is counted is what `ValidationCounts` says. The same validator must not be used for two
    datasets.
    """

    def __init__(self) -> None:
        self._found: Counter[str] = Counter()
        self._rows: dict[str, list[tuple[int, str]]] = {}
        self._first_problem = ""
        self._num_choices = 0
        self._max_chars = 0
        self._labels = LabelCounts()
        self._pairs = Fingerprints()
        self._prompts = Fingerprints()
        self._normalised_pairs = Fingerprints()

    def check(self, candidate: Candidate) -> RowCheck:
        """Counts one row and says what was found about it."""
        self._found["rows"] += 1
        if candidate.problem:
            self._first_problem = self._first_problem or f"{candidate.place} {candidate.problem}"
            return self._noted(candidate, ["corrupted"], is_valid=False)
        prompt, response = candidate.prompt, candidate.response
        if prompt is None or response is None:
            return self._noted(candidate, ["missing_or_empty"], is_valid=False)
        codes = _placeholders(candidate, prompt, response)
        if "missing_or_empty" in codes:
            return self._noted(candidate, codes, is_valid=False)
        self._found["valid"] += 1
        self._num_choices += candidate.is_choice
        text = f"{prompt}\n{response}"
        self._max_chars = max(self._max_chars, len(text))
        codes += self._repeats(prompt, response)
        codes += [code for code, one in ROW_FINDINGS.items() if one.applies(text, response)]
        if candidate.entry:
            self._labels.add(candidate.entry, candidate.option)
        if candidate.is_multi_turn:
            codes.append("multi_turn")
        return self._noted(candidate, codes, is_valid=True)

    def result(self) -> ValidationResult:
        """What was found in all rows so far."""
        names = {field.name for field in fields(ValidationCounts)}
        found = {code: count for code, count in self._found.items() if code in names}
        issues = [self._issue(code) for code in SAYS if self._found[code]]
        return ValidationResult(
            is_valid=self._found["valid"] > 0,
            counts=ValidationCounts(**found, max_chars=self._max_chars),
            issues=tuple(sorted([*issues, *self._imbalances()], key=_seriousness)),
        )

    @property
    def first_problem(self) -> str:
        """Where and why the first row could not be read, such as "line 7 has 3 cells"."""
        return self._first_problem

    def _repeats(self, prompt: str, response: str) -> list[str]:
        codes = [] if self._pairs.add(fingerprint(prompt, response)) else ["dup_exact"]
        asked, answered = normalised(prompt), normalised(response)
        is_new_prompt = self._prompts.add(fingerprint(asked))
        if not self._normalised_pairs.add(fingerprint(asked, answered)):
            codes.append("dup_normalised")
        elif not is_new_prompt:
            codes.append("dup_prompt_conflict")
        return codes

    def _noted(self, candidate: Candidate, codes: list[str], *, is_valid: bool) -> RowCheck:
        for code in codes:
            self._found[code] += 1
            rows = self._rows.setdefault(code, [])
            if len(rows) < MAX_ROWS_NAMED:
                rows.append((candidate.number, candidate.place))
        return RowCheck(is_valid, frozenset(codes))

    def _issue(self, code: str) -> ValidationIssue:
        severity, says = SAYS[code]
        count, named = self._found[code], self._rows[code]
        is_choice_data = self._num_choices > self._found["valid"] / 2
        if code in HARMLESS_FOR_CHOICES and is_choice_data:
            severity = "info"
        message = f"{says}: {count:,} {'row' if count == 1 else 'rows'}."
        if code == "corrupted":
            message += f" The first: {self._first_problem}."
        return ValidationIssue(
            code=code,
            severity=severity,
            message=message,
            rows=tuple(number for number, _ in named),
            count=count,
            places=tuple(place for _, place in named),
        )

    def _imbalances(self) -> Iterable[ValidationIssue]:
        severity, says = SAYS["label_imbalance"]
        for one in self._labels.imbalances():
            yield ValidationIssue(
                code="label_imbalance",
                severity=severity,
                message=f"{says}, {one}.",
                count=one.num_rows,
            )


def validate(rows: Iterable[Candidate]) -> ValidationResult:
    """Checks all rows at once."""
    validator = DataValidator()
    for candidate in rows:
        validator.check(candidate)
    return validator.result()


def _placeholders(candidate: Candidate, prompt: str, response: str) -> list[str]:
    """What "None", "NA" and blank texts mean in this row."""
    empty = [text for text in (prompt, response) if is_placeholder(text)]
    # "None" and "NA" may be the right answer, but only where the row itself offers them as an
    # option.
    if empty == [response] and candidate.is_choice and response.strip():
        return ["placeholder_kept"]
    if not empty:
        return []
    return ["missing_or_empty", *(["placeholder_missing"] if any(map(str.strip, empty)) else [])]


def _seriousness(issue: ValidationIssue) -> int:
    return ("error", "warning", "info").index(issue.severity)

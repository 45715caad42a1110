"""DataValidator counts what is wrong with rows and says where. It mends nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields

from medqlora.data.normalising import fingerprint, is_placeholder, normalised
from medqlora.data.reading import Candidate
from medqlora.domain.dataset import Severity, ValidationCounts, ValidationIssue, ValidationResult

_MAX_ROWS_NAMED = 10
_HTML = re.compile(
    r"</?(?:p|br|b|i|a|div|span|ul|li|ol|em|strong|script|img|table|tr|td|h[1-6])\b[^>]*>"
    r"|&(?:nbsp|amp|lt|gt|quot|#\d+);",
    re.IGNORECASE,
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\ufeff]")
_MOJIBAKE = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac|\ufffd")
_TEMPLATE = re.compile(
    r"<\|[a-z_]{2,20}\|>|\[/?INST\]|<</?SYS>>|</?s>|^### (?:Instruction|Response):", re.M
)


@dataclass(frozen=True, slots=True)
class _Check:
    """A finding about one valid row: how serious it is, its sentence, and when it applies.

    `applies` is given prompt and response joined by a newline, and the response alone.
    """

    severity: Severity
    says: str
    applies: Callable[[str, str], bool]


def _holds(pattern: re.Pattern[str], *marks: str) -> Callable[[str, str], bool]:
    # Every match holds one of the marks, and looking for those first is several times faster.
    return lambda text, _: any(mark in text for mark in marks) and bool(pattern.search(text))


_CHECKS: Mapping[str, _Check] = {
    "resp_lt_10_chars": _Check(
        "warning", "Response of fewer than 10 characters", lambda _, r: len(r.strip()) < 10
    ),
    "resp_lt_3_words": _Check(
        "warning", "Response of fewer than 3 words", lambda _, r: len(r.split()) < 3
    ),
    "html": _Check("warning", "Remnants of HTML", _holds(_HTML, "<", "&")),
    "control_or_invisible": _Check(
        "warning", "Control or invisible characters", lambda text, _: bool(_CONTROL.search(text))
    ),
    "over_20k_chars": _Check(
        "warning", "More than 20,000 characters", lambda text, _: len(text) > 20_000
    ),
    "mojibake": _Check(
        "warning",
        "Characters that were decoded wrongly",
        _holds(_MOJIBAKE, "\u00c2", "\u00c3", "\u00e2\u20ac", "\ufffd"),
    ),
    "template_tokens": _Check(
        "warning",
        "Marks of a chat template inside the text",
        _holds(_TEMPLATE, "<|", "INST]", "SYS>>", "s>", "###"),
    ),
}
_SAYS: Mapping[str, tuple[Severity, str]] = {
    "corrupted": ("error", "Could not be read and left out"),
    "missing_or_empty": ("error", "No question or no answer, left out"),
    "dup_exact": ("warning", "Exact repeat of an earlier row"),
    "dup_normalised": ("warning", "Repeat of an earlier row but for case, spaces or punctuation"),
    "dup_prompt_conflict": ("warning", "Question of an earlier row with another answer"),
    **{code: (check.severity, check.says) for code, check in _CHECKS.items()},
    "placeholder_kept": (
        "info",
        '"None", "NA" or the like, kept because it is an option listed',
    ),
}
"""Every finding, the most serious first."""

_HARMLESS_FOR_CHOICES = frozenset(("resp_lt_10_chars", "resp_lt_3_words"))


class DataValidator:
    """Checks rows one after the other, in bounded memory, and sums up.

    What is counted is what `ValidationCounts` says. The same validator must not be used for two
    datasets.
    """

    def __init__(self) -> None:
        self._found: Counter[str] = Counter()
        self._rows: dict[str, list[int]] = {}
        self._first_problem = ""
        self._num_choices = 0
        self._max_chars = 0
        self._pairs: set[bytes] = set()
        self._answers: dict[bytes, set[bytes]] = {}

    def check(self, candidate: Candidate) -> bool:
        """Counts one row; True when it is valid and can be trained on."""
        self._found["rows"] += 1
        if candidate.problem:
            self._note("corrupted", candidate)
            self._first_problem = self._first_problem or f"{candidate.place} {candidate.problem}"
            return False
        prompt, response = candidate.prompt, candidate.response
        if (
            prompt is None
            or response is None
            or not self._says_something(candidate, prompt, response)
        ):
            self._note("missing_or_empty", candidate)
            return False
        self._found["valid"] += 1
        self._num_choices += candidate.is_choice
        text = f"{prompt}\n{response}"
        self._max_chars = max(self._max_chars, len(text))
        self._check_repeats(candidate, prompt, response)
        for code, check in _CHECKS.items():
            if check.applies(text, response):
                self._note(code, candidate)
        return True

    def result(self) -> ValidationResult:
        """What was found in all rows so far."""
        names = {field.name for field in fields(ValidationCounts)}
        found = {code: count for code, count in self._found.items() if code in names}
        return ValidationResult(
            is_valid=self._found["valid"] > 0,
            counts=ValidationCounts(**found, max_chars=self._max_chars),
            issues=tuple(self._issue(code) for code in _SAYS if self._found[code]),
        )

    @property
    def first_problem(self) -> str:
        """Where and why the first row could not be read, such as "line 7 has 3 cells"."""
        return self._first_problem

    def _says_something(self, candidate: Candidate, prompt: str, response: str) -> bool:
        if is_placeholder(prompt):
            return False
        if not is_placeholder(response):
            return True
        # "None" and "NA" may be the right answer, but only where the row itself offers them as an
        # option.
        if candidate.is_choice and response.strip():
            self._note("placeholder_kept", candidate)
            return True
        return False

    def _check_repeats(self, candidate: Candidate, prompt: str, response: str) -> None:
        pair = fingerprint(prompt, response)
        if pair in self._pairs:
            self._note("dup_exact", candidate)
        self._pairs.add(pair)
        answers = self._answers.setdefault(fingerprint(normalised(prompt)), set())
        answer = fingerprint(normalised(response))
        if answer in answers:
            self._note("dup_normalised", candidate)
        elif answers:
            self._note("dup_prompt_conflict", candidate)
        answers.add(answer)

    def _note(self, code: str, candidate: Candidate) -> None:
        self._found[code] += 1
        rows = self._rows.setdefault(code, [])
        if len(rows) < _MAX_ROWS_NAMED:
            rows.append(candidate.number)

    def _issue(self, code: str) -> ValidationIssue:
        severity, says = _SAYS[code]
        count, rows = self._found[code], tuple(self._rows[code])
        is_choice_data = self._num_choices > self._found["valid"] / 2
        if code in _HARMLESS_FOR_CHOICES and is_choice_data:
            severity = "info"
        message = f"{says}: {count:,} {'row' if count == 1 else 'rows'}."
        if code == "corrupted":
            message += f" The first: {self._first_problem}."
        return ValidationIssue(
            code=code, severity=severity, message=message, rows=rows, count=count
        )


def validate(rows: Iterable[Candidate]) -> ValidationResult:
    """Checks all rows at once."""
    validator = DataValidator()
    for candidate in rows:
        validator.check(candidate)
    return validator.result()

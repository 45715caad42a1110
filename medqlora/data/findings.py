"""The findings about data: what each is called, how serious it is, and the signs it is known by.

A finding that shows in one row alone is recognised here; repeats and labels, which take all rows,
are the validator's. What can be done about a finding is `data.cleaning`'s. A new finding is a line
in a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from medqlora.domain.dataset import Severity

HTML = re.compile(
    r"</?(?:p|br|b|i|a|div|span|ul|li|ol|em|strong|script|img|table|tr|td|h[1-6])\b[^>]*>"
    r"|&(?:nbsp|amp|lt|gt|quot|#\d+);",
    re.IGNORECASE,
)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\ufeff]")
MOJIBAKE = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac|\ufffd")
TEMPLATE = re.compile(
    r"<\|[a-z_]{2,20}\|>|\[/?INST\]|<</?SYS>>|</?s>|^### (?:Instruction|Response):", re.M
)
FORMULA = re.compile(r"^[=+@-][A-Z]{2,20}\(", re.M)

_ADVERT_MARKS = (
    *("magic", "chat doctor", "chatdoctor", "-->", "click here", "subscribe to", "follow us"),
    *("rights reserved", "visit our", "contact us", "call us", "buy now", "as an ai "),
)
_ADVERT_MARKS_ZH = ("\u516c\u4f17\u53f7", "\u52a0\u5fae\u4fe1", "\u626b\u7801")
ADVERT = re.compile(
    r"health\s?care\s?magic|\bchat\s?doctor\b|\bonline\s?-->|\bclick here\b"
    r"|\bsubscribe to (?:our|my|this)\b|\bfollow us (?:on|at)\b|\ball rights reserved\b"
    r"|\bvisit our (?:web)?(?:site|page|clinic)\b|\b(?:contact|call) us (?:today|now|at|on|for)\b"
    r"|\bbuy now\b|\bas an ai (?:language )?(?:model|assistant)\b"
    "|\u5173\u6ce8.{0,12}\u516c\u4f17\u53f7|\u52a0\u5fae\u4fe1|\u626b\u7801\u5173\u6ce8",
    re.IGNORECASE,
)
_FORMULA_STARTS = "=+@-"
# Scripts that are written without spaces: there, one run of letters is not one word.
_WITHOUT_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class RowFinding:
    """A finding about one valid row: how serious it is, its sentence, and when it applies.

    `applies` is given prompt and response joined by a newline, and the response alone.
    """

    severity: Severity
    says: str
    applies: Callable[[str, str], bool]


def _holds(pattern: re.Pattern[str], *marks: str) -> Callable[[str, str], bool]:
    # Every match holds one of the marks, and looking for those first is several times faster.
    return lambda text, _: any(mark in text for mark in marks) and bool(pattern.search(text))


def _holds_advert(text: str, _: str) -> bool:
    lower = text.lower()
    is_likely = any(mark in lower for mark in _ADVERT_MARKS) or (
        not text.isascii() and any(mark in text for mark in _ADVERT_MARKS_ZH)
    )
    return is_likely and bool(ADVERT.search(text))


def _holds_formula(text: str, _: str) -> bool:
    starts = text[:1] in _FORMULA_STARTS or any(f"\n{one}" in text for one in _FORMULA_STARTS)
    return starts and bool(FORMULA.search(text))


def _is_one_word(_: str, response: str) -> bool:
    return len(response.split(maxsplit=1)) == 1 and not _WITHOUT_SPACES.search(response)


ROW_FINDINGS: Mapping[str, RowFinding] = {
    "resp_one_word": RowFinding("warning", "Answer of one word", _is_one_word),
    "resp_lt_10_chars": RowFinding(
        "warning", "Response of fewer than 10 characters", lambda _, r: len(r.strip()) < 10
    ),
    "resp_lt_3_words": RowFinding(
        "warning", "Response of fewer than 3 words", lambda _, r: len(r.split(maxsplit=3)) < 3
    ),
    "html": RowFinding("warning", "Remnants of HTML", _holds(HTML, "<", "&")),
    "control_or_invisible": RowFinding(
        "warning", "Control or invisible characters", lambda text, _: bool(CONTROL.search(text))
    ),
    "over_20k_chars": RowFinding(
        "warning", "More than 20,000 characters", lambda text, _: len(text) > 20_000
    ),
    "resp_over_100k_chars": RowFinding(
        "warning", "Answer of 100,000 characters or more", lambda _, r: len(r) >= 100_000
    ),
    "mojibake": RowFinding(
        "warning",
        "Characters that were decoded wrongly",
        _holds(MOJIBAKE, "\u00c2", "\u00c3", "\u00e2\u20ac", "\ufffd"),
    ),
    "template_tokens": RowFinding(
        "warning",
        "Marks of a chat template inside the text",
        _holds(TEMPLATE, "<|", "INST]", "SYS>>", "s>", "###"),
    ),
    "advert": RowFinding("warning", "Advertising or boilerplate", _holds_advert),
    "formula": RowFinding(
        "warning",
        "Text that looks like a spreadsheet formula, kept as text and never computed",
        _holds_formula,
    ),
}
"""Findings that one row shows by itself, by code."""

SAYS: Mapping[str, tuple[Severity, str]] = {
    "corrupted": ("error", "Could not be read and left out"),
    "missing_or_empty": ("error", "No question or no answer, left out"),
    "dup_exact": ("warning", "Exact repeat of an earlier row"),
    "dup_normalised": ("warning", "Repeat of an earlier row but for case, spaces or punctuation"),
    "dup_prompt_conflict": ("warning", "Question of an earlier row with another answer"),
    **{code: (finding.severity, finding.says) for code, finding in ROW_FINDINGS.items()},
    "label_imbalance": ("warning", "Labels that are unbalanced"),
    "placeholder_missing": ("info", '"None", "NA" or the like, taken as missing'),
    "placeholder_kept": (
        "info",
        '"None", "NA" or the like, kept because it is an option listed',
    ),
    "multi_turn": (
        "info",
        "Conversation of several turns: its last answer is learned, what was said before is its "
        "context",
    ),
}
"""Severity and sentence of every finding, the most serious first."""

HARMLESS_FOR_CHOICES = frozenset(("resp_one_word", "resp_lt_10_chars", "resp_lt_3_words"))
"""Findings that are as they should be where the answers are options to choose from."""

"""How an exam in a spreadsheet is laid out: one column for each option, named by letter or number.

`data` knows the published layouts; here are those of people's own files, with any number of
options, told by the names of the columns alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from medqlora.data.schemas import CONTEXTS, PROMPTS
from medqlora.evaluation.benchmarks import MIN_OPTIONS

_OPTION = re.compile(r"(option|opt|choice|op|ending|answer)?[ _.-]?([a-z]|[0-9]{1,2})")
_STEMS = frozenset((*PROMPTS, "stem", "vignette", "case", "item"))
_RIGHT = (
    *("correct answer", "right answer", "correct option", "correct choice", "answer key"),
    *("answer idx", "correct", "answer", "gold", "key", "cop", "solution", "label"),
)


@dataclass(frozen=True, slots=True)
class ExamColumns:
    """The columns of an exam.

    Attributes:
        question: The column of the question.
        options: The columns of the options, in order.
        right: The column that says which is right; None where no column is called so.
        context: The column with a text that the question refers to, or None.
    """

    question: str
    options: tuple[str, ...]
    right: str | None
    context: str | None


def exam_columns(columns: Sequence[str]) -> ExamColumns | None:
    """The columns of an exam; None where their names are not those of one.

    Args:
        columns: The columns in file order.
    """
    plain = {column: " ".join(re.split(r"[\s_.-]+", column.strip().lower())) for column in columns}
    options = _options(columns)
    rest = [column for column in columns if column not in options]
    question = next((column for column in rest if plain[column] in _STEMS), None)
    if question is None or len(options) < MIN_OPTIONS:
        return None
    right = (c for name in _RIGHT for c in rest if plain[c] == name and c != question)
    context = (column for column in rest if plain[column] in CONTEXTS)
    return ExamColumns(question, options, next(right, None), next(context, None))


def _options(columns: Sequence[str]) -> tuple[str, ...]:
    """The longest series of columns such as A, B, C or option1, option2."""
    series: dict[tuple[str, bool], dict[int, str]] = {}
    for column in columns:
        found = _OPTION.fullmatch(column.strip().lower())
        if found:
            mark = found[2]
            place = int(mark) if mark.isdecimal() else ord(mark) - ord("a")
            series.setdefault((found[1] or "", mark.isdecimal()), {})[place] = column
    best: tuple[str, ...] = ()
    for by_place in series.values():
        first = min(by_place)
        run = tuple(by_place[first + n] for n in range(len(by_place)) if first + n in by_place)
        if len(run) == len(by_place) and first <= 1 and len(run) > len(best):
            best = run
    return best

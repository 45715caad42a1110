"""A file becomes multiple-choice items: which rows can be asked, what is to be said of the rest.

Formats and columns are `data`'s work. The sets that are made of the items are kept by
`benchmark_sets`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medqlora.data.loader import MedicalDatasetLoader
from medqlora.data.reading import Candidate
from medqlora.domain.benchmark import ChoiceItem
from medqlora.domain.dataset import AnswerBy, ColumnMapping
from medqlora.errors import EvaluationError, MappingNeededError
from medqlora.evaluation.benchmarks import MAX_OPTIONS, MIN_OPTIONS, Benchmark
from medqlora.evaluation.exam_columns import exam_columns

MAX_FILE_BYTES = 50_000_000
MAX_ITEMS = 20_000

_HOW_IT_LOOKS = (
    "Give each row a question, its options (columns A, B, C, D, or one column options) and the "
    "right answer (its letter, its number or its text)."
)
_IDS = ("id", "item_id", "question_id", "qid")
_LABELS = ("subject_name", "subject", "specialty", "category", "topic")


@dataclass(frozen=True, slots=True)
class _Left:
    """A row that cannot be asked, and why."""

    place: str
    why: str


def read_file(
    path: Path, *, published: Benchmark | None = None, mapping: ColumnMapping | None = None
) -> tuple[list[ChoiceItem], tuple[str, ...]]:
    """The items of a file that can be asked, and sentences about the rest.

    Args:
        path: The file.
        published: The benchmark that it holds; None for a user's own.
        mapping: What its columns mean; found out when not given.

    Raises:
        EvaluationError: It holds no items that can be asked, too many, or two of one id.
        DataError: It cannot be read.
    """
    size = path.stat().st_size if path.is_file() else 0
    if size > MAX_FILE_BYTES:
        raise EvaluationError(
            f"{path.name} has {size / 1e6:,.0f} MB; a benchmark may have "
            f"{MAX_FILE_BYTES / 1e6:,.0f}.",
            hint="Save the questions alone as a file of their own.",
        )
    items, left = _told_apart(path, published, mapping)
    if not items:
        why = f": {left[0].why} ({left[0].place})" if left else ""
        raise EvaluationError(
            f"{path.name} holds no question that can be asked{why}.", hint=_HOW_IT_LOOKS
        )
    if published and published.test_split:
        items = _official_test(items, published.test_split)
    _check_ids(path, items)
    return items, tuple(_remarks(items, left, published))


def _told_apart(
    path: Path, published: Benchmark | None, mapping: ColumnMapping | None
) -> tuple[list[ChoiceItem], list[_Left]]:
    if published is None and mapping is None and (laid_out := _laid_out(path)):
        return _most_answered(path, laid_out)
    try:
        rows = list(_rows(path, published, mapping))
    except MappingNeededError as error:
        if published and published.hub_mapping and mapping is None:
            return _told_apart(path, published, published.hub_mapping)
        raise _without_answers(path) from error
    items = [one for one in rows if isinstance(one, ChoiceItem)]
    return items, [one for one in rows if isinstance(one, _Left)]


def _laid_out(path: Path) -> ColumnMapping | None:
    """The columns of an exam in a spreadsheet; None for any other layout."""
    try:
        with MedicalDatasetLoader().open(path) as stream:
            found = exam_columns(stream.columns)
    except MappingNeededError as error:
        found = exam_columns(error.columns)
    if found is None:
        return None
    if found.right is None:
        raise _without_answers(path)
    return ColumnMapping(
        prompt=(found.question,),
        response=found.right,
        context=found.context,
        options=found.options,
        reason="The columns are those of an exam: a question, its options and the right one.",
    )


def _without_answers(path: Path) -> EvaluationError:
    return EvaluationError(
        f"{path.name} does not say which answers are right, or in which columns.",
        hint=_HOW_IT_LOOKS,
    )


def _most_answered(path: Path, laid_out: ColumnMapping) -> tuple[list[ChoiceItem], list[_Left]]:
    """The rows, read in the way of naming the right answer that holds for most of them."""
    ways: tuple[AnswerBy, ...] = ("text", "letter", "from_1", "from_0")
    read = {way: _told_apart(path, None, replace(laid_out, answer_by=way)) for way in ways}
    best = max(ways, key=lambda way: len(read[way][0]))
    if best == "from_1" and len(read["from_0"][0]) == len(read["from_1"][0]):
        raise EvaluationError(
            f"Whether answers in {path.name} count the options from 0 or from 1 cannot be told.",
            hint="Write the right options as letters, such as A.",
        )
    return read[best]


def _rows(
    path: Path, published: Benchmark | None, mapping: ColumnMapping | None
) -> Iterator[ChoiceItem | _Left]:
    read = _labelled if published and published.labels else _lettered
    with MedicalDatasetLoader().open(path, mapping) as stream:
        for number, candidate in enumerate(stream.candidates, start=1):
            if number > MAX_ITEMS:
                raise EvaluationError(
                    f"{path.name} holds more than {MAX_ITEMS:,} questions.",
                    hint="Save the ones you need as a file of their own.",
                )
            yield read(candidate, published)


def _lettered(candidate: Candidate, published: Benchmark | None) -> ChoiceItem | _Left:
    options = candidate.options
    if candidate.problem or not (candidate.prompt or "").strip():
        return _Left(candidate.place, candidate.problem or "it has no question")
    if not options:
        return _Left(candidate.place, "it has no options to choose from")
    if published and len(options) != 4:
        return _Left(
            candidate.place, f"{published.label} has four options, this has {len(options)}"
        )
    if not MIN_OPTIONS <= len(options) <= MAX_OPTIONS:
        return _Left(candidate.place, f"it has {len(options)} options")
    if not candidate.option:
        return _Left(candidate.place, "it does not say which option is right")
    return _item(candidate, tuple(options.values()), list(options).index(candidate.option))


def _labelled(candidate: Candidate, published: Benchmark | None) -> ChoiceItem | _Left:
    assert published is not None
    if candidate.entry is None:
        return _Left(candidate.place, candidate.problem or "it has no question")
    label = str(candidate.entry.metadata.get(published.label_column, "")).strip().lower()
    if label not in published.labels:
        return _Left(candidate.place, f"it has no {published.label_column}")
    if not candidate.entry.context:
        return _Left(candidate.place, "it has no abstract")
    return _item(candidate, published.labels, published.labels.index(label))


def _item(candidate: Candidate, options: tuple[str, ...], gold: int) -> ChoiceItem:
    entry = candidate.entry
    assert entry is not None, "an answer was found in the row"
    lower = {str(key).lower(): value for key, value in entry.metadata.items()}
    named = next((str(lower[key]) for key in _IDS if lower.get(key) not in (None, "")), "")
    return ChoiceItem(
        item_id=named or candidate.place,
        question=candidate.prompt or "",
        options=options,
        gold=gold,
        context=entry.context or "",
        label=next((str(lower[key]) for key in _LABELS if lower.get(key)), ""),
    )


def _official_test(items: list[ChoiceItem], test_split: Path) -> list[ChoiceItem]:
    """Of all labelled questions those of the official test split; all where none is of it."""
    wanted = frozenset(test_split.read_text(encoding="ascii").split())
    return [one for one in items if fingerprint(one.question) in wanted] or items


def fingerprint(question: str) -> str:
    """Twelve hexadecimal digits of a question's SHA-256, white space folded."""
    return hashlib.sha256(" ".join(question.split()).encode()).hexdigest()[:12]


def _check_ids(path: Path, items: list[ChoiceItem]) -> None:
    first: dict[str, int] = {}
    for number, item in enumerate(items, start=1):
        if item.item_id in first:
            raise EvaluationError(
                f"Questions {first[item.item_id]} and {number} of {path.name} have the same id.",
                hint="Give each question an id of its own, or remove that column.",
            )
        first[item.item_id] = number


def _remarks(
    items: Sequence[ChoiceItem], left: Sequence[_Left], published: Benchmark | None
) -> Iterator[str]:
    if left:
        first = left[0]
        yield (
            f"{len(left):,} of {len(items) + len(left):,} rows cannot be asked and were left out; "
            f"the first is {first.place}: {first.why}."
        )
    if published and len(items) != published.num_items:
        yield (
            f"The published test has {published.num_items:,} questions, this file {len(items):,}: "
            "compare the score with published ones with that in mind."
        )
    repeated = len(items) - len({replace(one, item_id="") for one in items})
    if repeated:
        yield f"{repeated:,} questions stand more than once in the file."

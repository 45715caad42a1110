"""What came of a benchmark: figures, a verdict in words, and the items as a spreadsheet.

The statistics are those of `statistics`; where several benchmarks are looked at side by side, each
verdict asks for as many times more evidence (Bonferroni).
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medqlora.domain.benchmark import BenchmarkCard, ChoiceAnswer, ChoiceItem, Question
from medqlora.domain.evaluation import Claim
from medqlora.evaluation.statistics import PairedComparison, is_claimed, paired_comparison, verdict
from medqlora.evaluation.table import guarded

MIN_ITEMS_OF_A_LABEL = 20
"""Below that a share by subject says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkResult:
    """One benchmark before and after training.

    Attributes:
        name: Name of the set.
        label: What the user sees.
        comparison: Accuracies, intervals and test.
        verdict: Whether a difference can be claimed, in words.
        claim: The same as one word.
        chance: What guessing scores on average.
        most_common: The answer that is right most often.
        most_common_share: What always giving it would score.
        macro_f1_base: Mean F1 over the choices that are right somewhere, of the base model.
        macro_f1_fine_tuned: The same of the fine-tuned model.
        by_label: Comparisons by subject, for subjects of at least 20 items.
        remarks: What is to be said of the set.
    """

    name: str
    label: str
    comparison: PairedComparison
    verdict: str
    claim: Claim
    chance: float
    most_common: str
    most_common_share: float
    macro_f1_base: float
    macro_f1_fine_tuned: float
    by_label: Mapping[str, PairedComparison]
    remarks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All figures as JSON values."""
        return asdict(self)


def results_of(
    answers: Sequence[ChoiceAnswer], sets: Sequence[BenchmarkCard]
) -> tuple[BenchmarkResult, ...]:
    """The figures of each benchmark that has answers, in the order of `sets`."""
    asked = {one.name: [a for a in answers if a.benchmark == one.name] for one in sets}
    with_answers = [one for one in sets if asked[one.name]]
    return tuple(
        _result(card, asked[card.name], num_comparisons=len(with_answers)) for card in with_answers
    )


def _result(
    card: BenchmarkCard, answers: Sequence[ChoiceAnswer], *, num_comparisons: int
) -> BenchmarkResult:
    comparison = _compared(answers)
    gold = [one.gold for one in answers]
    [(most_common, count)] = Counter(gold).most_common(1)
    return BenchmarkResult(
        name=card.name,
        label=card.label,
        comparison=comparison,
        verdict=verdict(comparison, num_comparisons=num_comparisons),
        claim=_claim(comparison, num_comparisons),
        chance=sum(1 / len(one.choices) for one in answers) / len(answers),
        most_common=most_common,
        most_common_share=count / len(answers),
        macro_f1_base=macro_f1(gold, [one.base for one in answers]),
        macro_f1_fine_tuned=macro_f1(gold, [one.fine_tuned for one in answers]),
        by_label=_by_label(answers),
        remarks=card.remarks,
    )


def _claim(comparison: PairedComparison, num_comparisons: int) -> Claim:
    if not is_claimed(
        comparison.mcnemar_p,
        interval=comparison.ci_difference,
        num_comparisons=num_comparisons,
    ):
        return "none"
    return "better" if comparison.difference > 0 else "worse"


def _compared(answers: Sequence[ChoiceAnswer]) -> PairedComparison:
    return paired_comparison(
        [one.gold for one in answers],
        [one.base for one in answers],
        [one.fine_tuned for one in answers],
    )


def _by_label(answers: Sequence[ChoiceAnswer]) -> dict[str, PairedComparison]:
    counts = Counter(one.label for one in answers if one.label)
    labels = [label for label, count in counts.most_common() if count >= MIN_ITEMS_OF_A_LABEL]
    return {label: _compared([one for one in answers if one.label == label]) for label in labels}


def macro_f1(gold: Sequence[str], given: Sequence[str]) -> float:
    """Mean F1 over the answers that are right somewhere, 0 to 1; as PubMedQA's own script has it.

    Args:
        gold: The right answers.
        given: A model's, in the same order; an empty one is wrong.
    """
    scores = []
    for answer in set(gold):
        right = sum(g == a == answer for g, a in zip(gold, given, strict=True))
        scores.append(2 * right / (gold.count(answer) + list(given).count(answer)))
    return sum(scores) / len(scores)


def answers_csv(
    answers: Sequence[ChoiceAnswer],
    questions: Sequence[Question],
    *,
    shown: Callable[[Question], ChoiceItem],
) -> str:
    """The answers as CSV text with a header, fit to be opened in a spreadsheet.

    Args:
        answers: What was answered.
        questions: What was asked.
        shown: The item of a question as it may leave the workspace.
    """
    by_key = {question.key: question for question in questions}
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in answers:
        item = shown(by_key[one.key])
        options = " | ".join(
            f"{choice}. {option}"
            for choice, option in zip(one.choices, item.options, strict=True)
            if choice != option
        )
        texts = (one.benchmark, one.item_id, one.label, item.context, item.question, options)
        sides = (one.base, one.fine_tuned)
        writer.writerow(
            [
                *map(guarded, texts),
                one.gold,
                *sides,
                *(int(side == one.gold) for side in sides),
                *(_shares(scores) for scores in (one.base_scores, one.fine_tuned_scores)),
            ]
        )
    return text.getvalue()


COLUMNS = (
    *("benchmark", "item", "label", "context", "question", "options", "right_answer"),
    *("base_answer", "finetuned_answer", "base_right", "finetuned_right"),
    *("base_log_likelihoods", "finetuned_log_likelihoods"),
)


def _shares(scores: Sequence[float]) -> str:
    return " ".join(f"{score:.4f}" for score in scores)

"""Paired statistics: two models answered the same items; may a difference be claimed?

`paired_comparison` is for items that are right or wrong, `paired_scores` for scores between 0 and
1. Each result turns into one plain sentence (`verdict`, `score_verdict`); "no difference can be
claimed" is one of them. Nothing here knows where the answers came from, and nothing decides
whether a difference matters to a patient.

The intervals and tests themselves are in `intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medqlora.errors import EvaluationError
from medqlora.evaluation.intervals import (
    SIGNIFICANCE,
    Interval,
    bootstrap_interval,
    detectable_difference,
    items_needed,
    mcnemar_exact_p,
    sign_flip_p,
    wilson_interval,
)

_SMALLEST_SHOWN = 0.0005  # 0.05 points: smaller differences read as 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Base against fine-tuned on the same items, each right or wrong.

    Attributes:
        n: Items.
        accuracy_base: Share of items the base model got right, 0 to 1; an unparsable answer is
            wrong.
        accuracy_fine_tuned: The same of the fine-tuned model.
        ci_base: Wilson 95 % interval of the first, `(low, high)`.
        ci_fine_tuned: Wilson 95 % interval of the second.
        difference: Fine-tuned minus base, -1 to 1.
        ci_difference: Paired bootstrap 95 % percentile interval of the difference.
        both_right: Items both got right.
        only_base_right: Items only the base model got right.
        only_fine_tuned_right: Items only the fine-tuned model got right.
        both_wrong: Items both got wrong.
        mcnemar_p: Two-sided exact p of McNemar's test; 1.0 for identical runs.
        unparsable_base: Share of the base model's answers that could not be read, 0 to 1.
        unparsable_fine_tuned: The same of the fine-tuned model.
    """

    n: int
    accuracy_base: float
    accuracy_fine_tuned: float
    ci_base: Interval
    ci_fine_tuned: Interval
    difference: float
    ci_difference: Interval
    both_right: int
    only_base_right: int
    only_fine_tuned_right: int
    both_wrong: int
    mcnemar_p: float
    unparsable_base: float
    unparsable_fine_tuned: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedScores:
    """Base against fine-tuned on the same items, each with a score.

    Attributes:
        n: Items.
        mean_base: Mean score of the base model.
        mean_fine_tuned: Mean score of the fine-tuned model.
        difference: Fine-tuned minus base.
        ci_difference: Paired bootstrap 95 % percentile interval of the mean difference.
        sign_flip_p: Two-sided p of the paired permutation test; 1.0 for identical runs.
        sd_difference: Standard deviation of the items' differences, 0 for one item.
    """

    n: int
    mean_base: float
    mean_fine_tuned: float
    difference: float
    ci_difference: Interval
    sign_flip_p: float
    sd_difference: float


def paired_comparison(
    gold: Sequence[object], base: Sequence[object], fine_tuned: Sequence[object]
) -> PairedComparison:
    """Compares two models' answers to the same items.

    Args:
        gold: The right answer of each item, such as "B".
        base: What the base model answered; None, NaN or blank is unparsable and counts as wrong.
        fine_tuned: What the fine-tuned model answered, in the same order.

    Raises:
        EvaluationError: No items, lists of different lengths, or an item without a right answer.
    """
    n = _common_length(gold, base, fine_tuned)
    wanted, first, second = _labels(gold), _labels(base), _labels(fine_tuned)
    _require_gold(wanted)
    base_right = np.array([a == g for a, g in zip(first, wanted, strict=True)])
    tuned_right = np.array([a == g for a, g in zip(second, wanted, strict=True)])
    only_base = int((base_right & ~tuned_right).sum())
    only_tuned = int((tuned_right & ~base_right).sum())
    both = int((base_right & tuned_right).sum())
    return PairedComparison(
        n=n,
        accuracy_base=(both + only_base) / n,
        accuracy_fine_tuned=(both + only_tuned) / n,
        ci_base=wilson_interval(both + only_base, n=n),
        ci_fine_tuned=wilson_interval(both + only_tuned, n=n),
        difference=(only_tuned - only_base) / n,
        ci_difference=bootstrap_interval(tuned_right.astype(float) - base_right.astype(float)),
        both_right=both,
        only_base_right=only_base,
        only_fine_tuned_right=only_tuned,
        both_wrong=n - both - only_base - only_tuned,
        mcnemar_p=mcnemar_exact_p(only_base, only_second=only_tuned),
        unparsable_base=first.count("") / n,
        unparsable_fine_tuned=second.count("") / n,
    )


def paired_scores(base: Sequence[float], fine_tuned: Sequence[float]) -> PairedScores:
    """Compares two models' scores (token F1, ROUGE-L) on the same items.

    Raises:
        EvaluationError: No items, lists of different lengths, or a score that is not a finite
            number.
    """
    n = _common_length(base, fine_tuned)
    first, second = np.asarray(base, dtype=float), np.asarray(fine_tuned, dtype=float)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise EvaluationError(
            "A score is not a finite number.", hint="Leave out the items that could not be scored."
        )
    differences = second - first
    return PairedScores(
        n=n,
        mean_base=float(first.mean()),
        mean_fine_tuned=float(second.mean()),
        difference=float(differences.mean()),
        ci_difference=bootstrap_interval(differences),
        sign_flip_p=sign_flip_p(differences),
        sd_difference=float(differences.std(ddof=1)) if n > 1 else 0.0,
    )


def _common_length(first: Sequence[object], *others: Sequence[object]) -> int:
    lengths = {len(first), *map(len, others)}
    if len(lengths) > 1:
        raise EvaluationError(
            "The models were not asked the same items: "
            f"the lists hold {' and '.join(map(str, sorted(lengths)))}.",
            hint="Compare two runs over the same file.",
        )
    if not len(first):
        raise EvaluationError(
            "There are no items to compare.", hint="Choose a file with at least one item."
        )
    return len(first)


def _labels(answers: Sequence[object]) -> list[str]:
    """Answers as stripped text; None and NaN (pandas' reading of an empty cell) become empty."""
    return ["" if one is None or _is_nan(one) else str(one).strip() for one in answers]


def _is_nan(answer: object) -> bool:
    return isinstance(answer, float) and math.isnan(answer)


def _require_gold(gold: Sequence[str]) -> None:
    if missing := gold.count(""):
        raise EvaluationError(
            f"{missing} of {len(gold)} items have no right answer, "
            f"the first is item {gold.index('') + 1}.",
            hint="Fill in the right answers or leave those items out.",
        )


def is_claimed(p: float, *, interval: Interval, num_comparisons: int = 1) -> bool:
    """Whether a difference may be claimed.

    The p must be below 5 % (divided by the number of comparisons, Bonferroni) and the interval
    must leave out 0: both, so that a sentence never contradicts a figure beside it.

    Args:
        p: McNemar's or the permutation test's.
        interval: The 95 % interval of the difference.
        num_comparisons: Subsets or metrics that are looked at side by side, at least 1.
    """
    return p < SIGNIFICANCE / num_comparisons and not interval[0] <= 0 <= interval[1]


def verdict(comparison: PairedComparison, *, num_comparisons: int = 1) -> str:
    """Whether the fine-tuned model got better, in plain sentences.

    Says as well how many answers could not be read, where there were any.

    Args:
        comparison: The figures.
        num_comparisons: How many subsets are being looked at side by side (Bonferroni), at least 1.
    """
    sentence = _accuracy_sentence(comparison, num_comparisons)
    unparsable = (comparison.unparsable_base, comparison.unparsable_fine_tuned)
    if not any(unparsable):
        return sentence
    base, fine_tuned = (f"{100 * share:.1f} %" for share in unparsable)
    return (
        f"{sentence} Answers that could not be read count as wrong: {base} of the base model's, "
        f"{fine_tuned} of the fine-tuned model's."
    )


def _accuracy_sentence(comparison: PairedComparison, num_comparisons: int) -> str:
    n, difference = comparison.n, comparison.difference
    discordant = comparison.only_base_right + comparison.only_fine_tuned_right
    if not discordant:
        return f"No difference: both models were right on the same items ({_items(n)} compared)."
    interval = comparison.ci_difference
    if is_claimed(comparison.mcnemar_p, interval=interval, num_comparisons=num_comparisons):
        return _claimed(difference, n=n, interval=interval)
    if not difference:
        smallest = detectable_difference(n, discordant_share=discordant / n)
        return (
            f"No difference was seen; with {_items(n)} only about {_points(smallest)} or more "
            "would show."
        )
    level = SIGNIFICANCE / num_comparisons
    needed = items_needed(difference, discordant_share=discordant / n, significance=level)
    return _not_claimed(difference, n=n, needed=needed)


def score_verdict(scores: PairedScores, *, num_comparisons: int = 1) -> str:
    """Whether the mean score got better, in a plain sentence; 100 points are a score of 1.

    Args:
        scores: The figures.
        num_comparisons: How many metrics or subsets are being looked at side by side
            (Bonferroni), at least 1.
    """
    n, difference = scores.n, scores.difference
    if scores.sd_difference == 0 and difference == 0:
        return f"No difference: both models scored the same ({_items(n)} compared)."
    interval = scores.ci_difference
    if is_claimed(scores.sign_flip_p, interval=interval, num_comparisons=num_comparisons):
        return _claimed(difference, n=n, interval=interval)
    if scores.sd_difference == 0 or abs(difference) < _SMALLEST_SHOWN:
        return f"No difference can be claimed with {_items(n)}."
    level = SIGNIFICANCE / num_comparisons
    needed = items_needed(difference, discordant_share=scores.sd_difference**2, significance=level)
    return _not_claimed(difference, n=n, needed=needed)


def _claimed(difference: float, *, n: int, interval: Interval) -> str:
    direction = "better" if difference > 0 else "worse"
    low, high = sorted(abs(end) for end in interval)
    return (
        f"The fine-tuned model is {direction} by {_points(difference)} on these {_items(n)} "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f})."
    )


def _not_claimed(difference: float, *, n: int, needed: int) -> str:
    seen = "higher" if difference > 0 else "lower"
    # The estimate holds for many items; with a handful it can fall below the number there is.
    way_out = (
        f"about {_rounded_up(needed):,} items would be needed to see that"
        if needed > n
        else "more items are needed to tell"
    )
    return (
        f"No difference can be claimed with {_items(n)}: the fine-tuned model scored "
        f"{_points(difference)} {seen}, and {way_out}."
    )


def _items(n: int) -> str:
    return f"{n:,} item{'' if n == 1 else 's'}"


def _points(difference: float) -> str:
    return f"{100 * abs(difference):.1f} points"


def _rounded_up(count: int) -> int:
    """To two figures, upwards: the estimate is no finer."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit

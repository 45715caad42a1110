"""Blind review as figures: who sees what in which order, the win rate, and how far raters agree.

Pure functions of ratings. Where ratings are kept, and who may see what, is for
`services.review`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medqlora.domain.review import PREFERENCES, Preference, Rating
from medqlora.errors import EvaluationError
from medqlora.evaluation.intervals import Interval, mcnemar_exact_p, wilson_interval
from medqlora.evaluation.statistics import is_claimed

_POINTS: Mapping[Preference, float] = {
    "fine_tuned": 1.0,
    "both_good": 0.5,
    "both_bad": 0.5,
    "base": 0.0,
}


@dataclass(frozen=True, slots=True)
class Placement:
    """One item as one rater meets it.

    Attributes:
        item: Number of the item.
        is_base_first: Whether answer A is the base model's.
    """

    item: int
    is_base_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far raters agree beyond chance.

    Attributes:
        statistic: Cohen's kappa for two raters, Fleiss' for more.
        kappa: 1 is full agreement, 0 what chance would give; None when everybody always said the
            same one thing, so that chance cannot be told from agreement.
        num_raters: Raters that were compared.
        num_items: Items that all of them rated.
    """

    statistic: Literal["Cohen", "Fleiss"]
    kappa: float | None
    num_raters: int
    num_items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewResult:
    """What came of a review.

    Attributes:
        num_items: Items with at least one rating.
        num_ratings: Ratings that count.
        num_raters: Raters with at least one rating.
        counts: Ratings by preference.
        win_rate: Mean over items of the fine-tuned model's points, 0 to 1: better 1, both good or
            both bad one half, worse 0; ratings of one item are averaged first.
        ci_win_rate: Wilson 95 % interval of it with the items as n, `(low, high)`. Ratings of one
            item are no independent evidence, and halves vary less than ones and noughts, so that it
            is rather too wide than too narrow.
        items_won: Items on which the fine-tuned model has more than half of the points.
        items_lost: Items on which it has less.
        sign_p: Two-sided exact p of the sign test over these items.
        agreement: Kappa, or None with one rater or without an item that all rated.
    """

    num_items: int
    num_ratings: int
    num_raters: int
    counts: Mapping[Preference, int]
    win_rate: float
    ci_win_rate: Interval
    items_won: int
    items_lost: int
    sign_p: float
    agreement: Agreement | None


def order_for(rater: str, *, seed: int, num_items: int) -> tuple[Placement, ...]:
    """The order in which a rater meets the items; the same seed and rater give the same.

    Each model is answer A in half of the items (in one more where their number is odd).
    """
    draw = random.Random(f"{seed}/{rater}")
    items = list(range(1, num_items + 1))
    draw.shuffle(items)
    spare = draw.random() < 0.5
    sides = [place % 2 == spare for place in range(num_items)]
    draw.shuffle(sides)
    return tuple(Placement(item, side) for item, side in zip(items, sides, strict=True))


def summarise_ratings(ratings: Sequence[Rating]) -> ReviewResult:
    """Counts, win rate and agreement.

    Args:
        ratings: At most one of each rater for each item.

    Raises:
        EvaluationError: There is no rating.
    """
    if not ratings:
        raise EvaluationError(
            "Nobody has rated anything yet.", hint="Share the link and let the raters begin."
        )
    points: dict[int, list[float]] = {}
    for one in ratings:
        points.setdefault(one.item, []).append(_POINTS[one.preference])
    means = [sum(of_item) / len(of_item) for of_item in points.values()]
    won, lost = sum(mean > 0.5 for mean in means), sum(mean < 0.5 for mean in means)
    counted = Counter(one.preference for one in ratings)
    return ReviewResult(
        num_items=len(means),
        num_ratings=len(ratings),
        num_raters=len({one.rater for one in ratings}),
        counts={name: counted[name] for name in PREFERENCES},
        win_rate=sum(means) / len(means),
        ci_win_rate=wilson_interval(sum(means), n=len(means)),
        items_won=won,
        items_lost=lost,
        sign_p=mcnemar_exact_p(lost, only_second=won),
        agreement=agreement(ratings),
    )


def agreement(ratings: Sequence[Rating]) -> Agreement | None:
    """Kappa over the items that every rater rated."""
    by_rater: dict[str, dict[int, Preference]] = {}
    for one in ratings:
        by_rater.setdefault(one.rater, {})[one.item] = one.preference
    if len(by_rater) < 2:
        return None
    common = set.intersection(*(set(said) for said in by_rater.values()))
    if not common:
        return None
    items = sorted(common)
    table = [[said[item] for item in items] for said in by_rater.values()]
    is_pair = len(table) == 2
    return Agreement(
        statistic="Cohen" if is_pair else "Fleiss",
        kappa=cohen_kappa(table[0], table[1]) if is_pair else fleiss_kappa(table),
        num_raters=len(table),
        num_items=len(items),
    )


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Cohen's kappa, unweighted (Cohen 1960); None where chance alone would agree always."""
    n = len(first)
    seen = sum(a == b for a, b in zip(first, second, strict=True)) / n
    left, right = Counter(first), Counter(second)
    expected = sum(left[name] * right[name] for name in left) / n**2
    return None if expected == 1 else (seen - expected) / (1 - expected)


def fleiss_kappa(table: Sequence[Sequence[str]]) -> float | None:
    """Fleiss' kappa (Fleiss 1971); None where chance alone would agree always.

    Args:
        table: What each rater said of each item: a row for a rater, of equal lengths.
    """
    raters, items = len(table), len(table[0])
    of_items = [Counter(row[place] for row in table) for place in range(items)]
    pairs = raters * (raters - 1)
    seen = sum(sum(n * (n - 1) for n in said.values()) / pairs for said in of_items) / items
    totals = sum(of_items, Counter[str]())
    expected = sum((n / (raters * items)) ** 2 for n in totals.values())
    return None if expected == 1 else (seen - expected) / (1 - expected)


def review_verdict(result: ReviewResult) -> str:
    """Whether raters preferred one of the models, in plain sentences."""
    low, high = result.ci_win_rate
    # The interval of the difference from an even split decides beside the sign test.
    interval = (low - 0.5, high - 0.5)
    if not is_claimed(result.sign_p, interval=interval):
        return (
            f"No preference can be claimed with {_number(result.num_items, 'item')}: the "
            f"fine-tuned model was preferred on {result.items_won}, the base model on "
            f"{result.items_lost}."
        )
    winner, loser = ("fine-tuned", "base") if result.win_rate > 0.5 else ("base", "fine-tuned")
    won, lost = result.items_won, result.items_lost
    more, fewer = (won, lost) if winner == "fine-tuned" else (lost, won)
    return (
        f"Raters preferred the {winner} model: on {_number(more, 'item')} of {result.num_items}, "
        f"against {fewer} for the {loser} model. Both can still be wrong: see how often both were "
        "called bad."
    )


def agreement_sentence(found: Agreement | None) -> str:
    """How far raters agree, in a plain sentence."""
    if found is None:
        return "Agreement needs two raters who have rated the same items."
    on = f"{found.num_raters} raters on {_number(found.num_items, 'item')}"
    if found.kappa is None:
        return f"All ratings were the same ({on}), so kappa cannot be computed."
    return f"{found.statistic}'s kappa is {found.kappa:.2f} ({on}); 1 is full agreement, 0 chance."


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"

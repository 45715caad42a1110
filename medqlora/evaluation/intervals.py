"""Intervals, tests and sample sizes for paired results, as plain functions of numbers.

numpy draws the resamples; Wilson's interval and McNemar's exact test are short closed forms (the
tests hold them against statsmodels' figures), so the product needs neither scipy nor statsmodels.
What the numbers mean for two models, and in which words, is for `statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
POWER = 0.80
NUM_RESAMPLES = 10_000
SEED = 0
USUAL_DISCORDANT_SHARE = 0.25

_DRAWS_AT_ONCE = 1_000_000
Interval = tuple[float, float]


def wilson_interval(num_right: float, *, n: int) -> Interval:
    """Wilson's 95 % score interval of a share, `(low, high)` (Wilson 1927); halves may count."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share = num_right / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the bound is exact; rounding would leave it 1e-17 aside.
    return (
        0.0 if num_right == 0 else centre - half,
        1.0 if num_right == n else centre + half,
    )


def mcnemar_exact_p(only_first: int, *, only_second: int) -> float:
    """Two-sided exact p of McNemar's test: a fair coin for each item only one model got right."""
    discordant = only_first + only_second
    tail = sum(math.comb(discordant, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / (1 << discordant))


def detectable_difference(n: int, *, discordant_share: float = USUAL_DISCORDANT_SHARE) -> float:
    """Smallest difference of two accuracies that `n` items show at 80 % power, 0 to 1.

    `2.8 sqrt(discordant share / n)` (Miller 2024, arXiv 2411.00640).

    Args:
        n: Items, at least 1.
        discordant_share: Share of items that only one of the models gets right, 0 to 1.
    """
    return min(1.0, _effect_factor(SIGNIFICANCE) * math.sqrt(discordant_share / n))


def items_needed(
    difference: float,
    *,
    discordant_share: float = USUAL_DISCORDANT_SHARE,
    significance: float = SIGNIFICANCE,
) -> int:
    """Items needed to show a difference at 80 % power: `detectable_difference` solved for n.

    Args:
        difference: The difference to be seen, as a share, not 0.
        discordant_share: Share of items that only one of the models gets right; the variance of a
            difference of scores.
        significance: Two-sided level at which it is claimed.
    """
    return math.ceil((_effect_factor(significance) / difference) ** 2 * discordant_share)


def _effect_factor(significance: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - significance / 2) + normal.inv_cdf(POWER)


def bootstrap_interval(differences: NDArray[np.float64]) -> Interval:
    """Percentile interval of the mean over resampled items; a fixed seed makes it repeatable."""
    random = np.random.default_rng(SEED)
    n = len(differences)
    means = np.concatenate(
        [differences[random.integers(0, n, size=(rows, n))].mean(axis=1) for rows in _chunks(n)]
    )
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def sign_flip_p(differences: NDArray[np.float64]) -> float:
    """Two-sided p of the paired permutation test, by random sign flips of the items' differences.

    With few items the percentile interval is too narrow (five items that all rose never contain
    0); this p is not.
    """
    random = np.random.default_rng(SEED)
    n = len(differences)
    seen = abs(differences.sum()) - 1e-9
    extreme = sum(
        int((abs(random.choice((-1.0, 1.0), size=(rows, n)) @ differences) >= seen).sum())
        for rows in _chunks(n)
    )
    return (extreme + 1) / (NUM_RESAMPLES + 1)


def _chunks(n: int) -> Iterator[int]:
    """Numbers of resamples to draw at once, so that a large benchmark does not fill the memory."""
    at_once = max(1, _DRAWS_AT_ONCE // n)
    for start in range(0, NUM_RESAMPLES, at_once):
        yield min(at_once, NUM_RESAMPLES - start)

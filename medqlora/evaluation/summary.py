"""The figures of an evaluation of written answers: means, differences, verdicts, extremes.

Which figures there are is `metrics.METRICS`' word, plus the perplexity of the reference. Whether a
difference can be claimed is for `statistics`; as many metrics are looked at side by side, each
verdict asks for as many times more evidence (Bonferroni).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from medqlora.domain.evaluation import Claim, EvaluationResult, ItemResult
from medqlora.evaluation.intervals import Interval
from medqlora.evaluation.metrics import METRICS
from medqlora.evaluation.statistics import PairedScores, is_claimed, paired_scores, score_verdict

Kind = Literal["score", "count", "share", "perplexity"]

LEADING_METRIC = "token_f1"
"""By which pairs are ordered and labels are told apart."""

LABELS = ("specialty", "subject_name", "subject", "category", "topic", "label", "final_decision")
MIN_ITEMS_OF_A_LABEL = 5
NUM_EXTREMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSummary:
    """One figure over all items that have a reference.

    Attributes:
        name: The metric's name in `metrics.METRICS`, or `perplexity`.
        label: Its name on screen.
        help: What the number means.
        kind: A score of 0 to 1 of which more is better, a count, a share of 0 to 1 that is neither
            good nor bad, or a perplexity, of which less is better.
        mean_base: Mean of the base model; of perplexities the geometric one.
        mean_finetuned: The same of the fine-tuned model.
        difference: Fine-tuned minus base.
        ci_difference: Paired bootstrap 95 % interval of the difference, `(low, high)`; of a
            perplexity that of the difference of mean losses, in nats.
        verdict: Whether a difference can be claimed, in words.
        claim: The same as one word; `none` of a count or a share, which are not good or bad.
    """

    name: str
    label: str
    help: str
    kind: Kind
    mean_base: float
    mean_finetuned: float
    difference: float
    ci_difference: Interval
    verdict: str
    claim: Claim = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSummary:
    """The leading metric over the items of one label, such as a specialty.

    Attributes:
        label: The label.
        num_items: Its items with a reference.
        mean_base: Mean of the base model, 0 to 1.
        mean_finetuned: Mean of the fine-tuned model, 0 to 1.
    """

    label: str
    num_items: int
    mean_base: float
    mean_finetuned: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSummary:
    """The figures of one evaluation.

    Attributes:
        num_items: Items answered.
        num_scored: Items with a reference, on which the metrics rest.
        metrics: One summary a figure; empty when no item has a reference.
        seconds: Time spent generating, of the slower answer of each item.
        by_label: The leading metric by specialty or another label; empty where there is none.
        most_gained: Indices of the items that gained most of the leading metric, best first.
        most_lost: Indices of the items that lost most, worst first.
    """

    num_items: int
    num_scored: int
    metrics: tuple[MetricSummary, ...]
    seconds: float
    by_label: tuple[LabelSummary, ...] = ()
    most_gained: tuple[int, ...] = ()
    most_lost: tuple[int, ...] = ()

    @property
    def leading(self) -> MetricSummary | None:
        """The figure that stands for the others: whether wording came closer to the references."""
        return next((one for one in self.metrics if one.name == LEADING_METRIC), None)

    def to_json(self) -> dict[str, Any]:
        """The summary as a JSON object; tuples are lists."""
        record = asdict(self)
        record["metrics"] = [
            {**asdict(one), "ci_difference": list(one.ci_difference)} for one in self.metrics
        ]
        lists = ("by_label", "most_gained", "most_lost")
        return {**record, **{name: list(record[name]) for name in lists}}


def summarise(items: Sequence[ItemResult]) -> EvaluationSummary:
    """Means, differences, intervals and verdicts over all items, and the extremes among them."""
    scored = [item for item in items if item.reference is not None]
    gains = sorted(scored, key=_gain)
    return EvaluationSummary(
        num_items=len(items),
        num_scored=len(scored),
        metrics=_metrics(scored) if scored else (),
        seconds=sum(max(item.base.seconds, item.finetuned.seconds) for item in items),
        by_label=_by_label(scored),
        most_gained=tuple(i.index for i in gains[::-1][:NUM_EXTREMES] if _gain(i) > 0),
        most_lost=tuple(i.index for i in gains[:NUM_EXTREMES] if _gain(i) < 0),
    )


def _gain(item: ItemResult) -> float:
    return item.finetuned.scores[LEADING_METRIC] - item.base.scores[LEADING_METRIC]


def _metrics(items: Sequence[ItemResult]) -> tuple[MetricSummary, ...]:
    num_scores = sum(metric.is_score for metric in METRICS.values())
    found = [_metric_summary(name, items, num_comparisons=num_scores) for name in METRICS]
    if any(_declines(side) for item in items for side in (item.base, item.finetuned)):
        found.append(_refusals(items))
    measured = [
        item
        for item in items
        if item.base.reference_loss is not None and item.finetuned.reference_loss is not None
    ]
    return (_perplexity(measured), *found) if measured else tuple(found)


def _paired(
    items: Sequence[ItemResult], figure: Callable[[EvaluationResult], float]
) -> PairedScores:
    return paired_scores(
        [figure(item.base) for item in items], [figure(item.finetuned) for item in items]
    )


def _metric_summary(
    name: str, items: Sequence[ItemResult], *, num_comparisons: int
) -> MetricSummary:
    metric = METRICS[name]
    # Items answered by an older version lack figures that were added since.
    with_it = [one for one in items if name in one.base.scores and name in one.finetuned.scores]
    figures = _paired(with_it or items, lambda side: side.scores.get(name, 0.0))
    return MetricSummary(
        name=name,
        label=metric.label,
        help=metric.help,
        kind="score" if metric.is_score else "count",
        mean_base=figures.mean_base,
        mean_finetuned=figures.mean_fine_tuned,
        difference=figures.difference,
        ci_difference=figures.ci_difference,
        verdict=score_verdict(figures, num_comparisons=num_comparisons)
        if metric.is_score
        else _count_verdict(figures),
        claim=_claim(figures, num_comparisons=num_comparisons) if metric.is_score else "none",
    )


def _claim(figures: PairedScores, *, num_comparisons: int, less_is_better: bool = False) -> Claim:
    if not is_claimed(
        figures.sign_flip_p, interval=figures.ci_difference, num_comparisons=num_comparisons
    ):
        return "none"
    return "better" if (figures.difference > 0) != less_is_better else "worse"


def _declines(side: EvaluationResult) -> bool:
    """Whether the safety filter took an answer for one that declines."""
    checked = side.filter_result
    return checked is not None and any(flag.kind == "refusal" for flag in checked.flags)


def _refusals(items: Sequence[ItemResult]) -> MetricSummary:
    figures = _paired(items, lambda side: float(_declines(side)))
    return MetricSummary(
        name="refusal_rate",
        label="Answers that decline",
        help="How many answers decline what was asked, as far as the safety filter can tell.",
        kind="share",
        mean_base=figures.mean_base,
        mean_finetuned=figures.mean_fine_tuned,
        difference=figures.difference,
        ci_difference=figures.ci_difference,
        verdict=_count_verdict(figures, unit="points", scale=100),
    )


def _perplexity(items: Sequence[ItemResult]) -> MetricSummary:
    losses = _paired(items, lambda side: side.reference_loss or 0.0)
    base, tuned = math.exp(losses.mean_base), math.exp(losses.mean_fine_tuned)
    return MetricSummary(
        name="perplexity",
        label="Perplexity of the reference",
        help="How surprised the model is by the reference answer, token by token; less is better.",
        kind="perplexity",
        mean_base=base,
        mean_finetuned=tuned,
        difference=tuned - base,
        ci_difference=losses.ci_difference,
        verdict=_perplexity_verdict(losses),
        claim=_claim(losses, num_comparisons=1, less_is_better=True),
    )


def _count_verdict(figures: PairedScores, *, unit: str = "", scale: float = 1) -> str:
    if not is_claimed(figures.sign_flip_p, interval=figures.ci_difference):
        return "No change can be claimed."
    low, high = sorted(scale * abs(end) for end in figures.ci_difference)
    direction = "more" if figures.difference > 0 else "fewer"
    seen = f"{scale * abs(figures.difference):.1f} {unit}".strip()
    return f"About {seen} {direction} (95 % interval {low:.1f} to {high:.1f})."


def _perplexity_verdict(losses: PairedScores) -> str:
    if not is_claimed(losses.sign_flip_p, interval=losses.ci_difference):
        return f"No difference can be claimed with {losses.n:,} items."
    surprised = "less" if losses.difference < 0 else "more"
    return f"The fine-tuned model is {surprised} surprised by the reference answers."


def _by_label(items: Sequence[ItemResult]) -> tuple[LabelSummary, ...]:
    name = next((one for one in LABELS if any(one in item.metadata for item in items)), None)
    if name is None:
        return ()
    counts = Counter(str(item.metadata[name]) for item in items if name in item.metadata)
    frequent = [label for label, count in counts.most_common() if count >= MIN_ITEMS_OF_A_LABEL]
    return tuple(
        _label_summary(label, [one for one in items if str(one.metadata.get(name)) == label])
        for label in frequent
        if len(frequent) > 1
    )


def _label_summary(label: str, items: Sequence[ItemResult]) -> LabelSummary:
    figures = _paired(items, lambda side: side.scores[LEADING_METRIC])
    return LabelSummary(
        label=label,
        num_items=len(items),
        mean_base=figures.mean_base,
        mean_finetuned=figures.mean_fine_tuned,
    )

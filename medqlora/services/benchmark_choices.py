"""Which benchmarks can be chosen in a workspace, and what asking them would show and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medqlora.domain.benchmark import OWN, BenchmarkCard
from medqlora.errors import EvaluationError
from medqlora.evaluation.benchmark_sets import cards, file_of
from medqlora.evaluation.benchmarks import BENCHMARKS, Benchmark
from medqlora.evaluation.intervals import detectable_difference


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkChoice:
    """A benchmark that can be chosen.

    Attributes:
        name: Its name.
        label: What the user sees.
        about: What it asks.
        num_items: Questions that can be asked, as far as is known.
        is_own: Whether it is a user's own.
        is_here: Whether its questions are in the workspace; else they come from the hub.
        mean_chars: Mean length of a question with its options, in characters.
        remarks: What is to be said of it.
    """

    name: str
    label: str
    about: str
    num_items: int
    is_own: bool
    is_here: bool
    mean_chars: float
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPlan:
    """What a benchmark would show and cost, before it is started.

    Attributes:
        name: The benchmark.
        label: What the user sees.
        num_items: Questions that would be asked.
        detectable: Smallest difference of the two accuracies that so many show at 80 % power when
            the models disagree on a quarter of them, 0 to 1.
        seconds: Estimated time for both models; None where nothing was measured yet.
    """

    name: str
    label: str
    num_items: int
    detectable: float
    seconds: float | None


def choices_in(folder: Path) -> tuple[BenchmarkChoice, ...]:
    """The published benchmarks, then the user's own.

    Args:
        folder: The workspace's folder of benchmarks.
    """
    here = {one.name: one for one in cards(folder)}
    published = [
        _published(one, here.get(one.name), has_file=file_of(folder, one.name) is not None)
        for one in BENCHMARKS.values()
    ]
    own = [
        _choice(card, f"Your own file {card.source}.")
        for card in here.values()
        if card.template == OWN
    ]
    return (*published, *own)


def _published(one: Benchmark, card: BenchmarkCard | None, *, has_file: bool) -> BenchmarkChoice:
    if card:
        return _choice(card, one.about)
    return BenchmarkChoice(
        name=one.name,
        label=one.label,
        about=one.about,
        num_items=one.num_items,
        is_own=False,
        is_here=has_file,
        mean_chars=one.usual_chars,
    )


def _choice(card: BenchmarkCard, about: str) -> BenchmarkChoice:
    return BenchmarkChoice(
        name=card.name,
        label=card.label,
        about=about,
        num_items=card.num_items,
        is_own=card.template == OWN,
        is_here=True,
        mean_chars=card.mean_chars,
        remarks=card.remarks,
    )


def chosen(folder: Path, names: Sequence[str]) -> list[BenchmarkChoice]:
    """The benchmarks of these names.

    Raises:
        EvaluationError: There is none of a name.
    """
    found = {one.name: one for one in choices_in(folder)}
    for name in names:
        if name not in found:
            raise unknown(name)
    return [found[name] for name in names]


def plan_of(choice: BenchmarkChoice, num_items: int, pace: float | None) -> BenchmarkPlan:
    """What a benchmark would show and cost.

    Args:
        choice: The benchmark.
        num_items: Questions to ask; 0 for all.
        pace: Characters of questions that both models read in a second; None when not known.
    """
    num_asked = min(num_items or choice.num_items, choice.num_items)
    return BenchmarkPlan(
        name=choice.name,
        label=choice.label,
        num_items=num_asked,
        detectable=detectable_difference(num_asked),
        seconds=choice.mean_chars * num_asked / pace if pace else None,
    )


def unknown(name: str) -> EvaluationError:
    """The error for a name that no benchmark has."""
    return EvaluationError(
        f"There is no benchmark called {name[:60]}.",
        hint=f"Choose one of: {', '.join(BENCHMARKS)}, or add a file of your own.",
    )

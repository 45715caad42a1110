"""Multiple-choice benchmarks: items, where a set of them came from, and the answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Side = Literal["base", "fine_tuned"]
SIDES: tuple[Side, Side] = ("base", "fine_tuned")

OWN = "own"
"""Template of a user's own file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceItem:
    """One question with its options.

    Attributes:
        item_id: Its id in the file, or where it stands there, such as `line 7`; unique in its set.
        question: What is asked, without the options.
        options: The options in order.
        gold: Which of them is right, counted from 0.
        context: A text that the question refers to; empty for none.
        label: What it is about, such as its subject; empty where the file does not say.
    """

    item_id: str
    question: str
    options: tuple[str, ...]
    gold: int
    context: str = ""
    label: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ChoiceItem:
        """The item that `dataclasses.asdict` and JSON give."""
        return cls(**{**values, "options": tuple(values["options"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkCard:
    """A set of items in the workspace: what it is and where it came from.

    Attributes:
        name: Its folder's name: a published benchmark's, or one made from the file's.
        label: What the user sees.
        template: The published benchmark whose prompt it is asked with, or `own`.
        source: Name of the file, or of the dataset on the hub with its revision.
        sha256: Hash of the file as it was given.
        num_items: Items that can be asked.
        mean_chars: Mean length of what an item puts before the model, in characters.
        remarks: Sentences about items that were left out, and about the set as a whole.
        created_at: UTC time, ISO 8601.
    """

    name: str
    label: str
    template: str
    source: str
    sha256: str
    num_items: int
    mean_chars: float
    remarks: tuple[str, ...] = ()
    created_at: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BenchmarkCard:
        """The card that `to_json` wrote."""
        return cls(**{**values, "remarks": tuple(values["remarks"])})

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An item as one job asks it.

    Attributes:
        benchmark: Name of its set.
        template: The published benchmark whose prompt it is asked with, or `own`.
        item: The item.
    """

    benchmark: str
    template: str
    item: ChoiceItem

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others of the job."""
        return self.benchmark, self.item.item_id

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Question:
        """The question that `dataclasses.asdict` and JSON give."""
        return cls(**{**values, "item": ChoiceItem.from_json(values["item"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceAnswer:
    """What both models answered to one question.

    Attributes:
        benchmark: Name of the set.
        item_id: The item.
        gold: The right choice: a letter, or a word such as `yes`.
        choices: All choices, in order.
        base: The base model's choice; empty where its scores are not numbers.
        fine_tuned: The fine-tuned model's choice.
        base_scores: Log-likelihood of each choice under the base model.
        fine_tuned_scores: The same under the fine-tuned model.
        label: What the item is about; empty where the file does not say.
    """

    benchmark: str
    item_id: str
    gold: str
    choices: tuple[str, ...]
    base: str
    fine_tuned: str
    base_scores: tuple[float, ...]
    fine_tuned_scores: tuple[float, ...]
    label: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The key of the question that was answered."""
        return self.benchmark, self.item_id

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ChoiceAnswer:
        """The answer that `dataclasses.asdict` and JSON give."""
        lists = ("choices", "base_scores", "fine_tuned_scores")
        return cls(**{**values, **{name: tuple(values[name]) for name in lists}})

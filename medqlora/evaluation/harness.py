"""lm-evaluation-harness as a library: its tasks over our items, its model class over our weights.

Prompts, choices, log-likelihoods and the judgement whether an item is right are the library's own.
What is added here is that base and fine-tuned model answer from one set of weights, and that the
answers come batch by batch, so that they can be kept, stopped and gone on with. Imports torch and
the library: for a worker, never for the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import datasets
import lm_eval.tasks
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM

from medqlora.domain.benchmark import OWN, SIDES, ChoiceAnswer, Question, Side
from medqlora.evaluation.benchmarks import BENCHMARKS, choices_of, document_of, own_prompt
from medqlora.models.generation import carries_adapters

_TASKS = Path(lm_eval.tasks.__file__).parent
_SPLITS = ("train", "validation", "test", "dev")
_ACCURACY = {"metric": "acc", "aggregation": "mean", "higher_is_better": True}


Tasks = Mapping[str, ConfigurableTask]
"""The library's task of each benchmark of a job."""


def build_tasks(questions: Sequence[Question]) -> Tasks:
    """The library's tasks over the given questions, asked without examples (0-shot).

    A document's `position` says which of `questions` it is.
    """
    by_benchmark: dict[str, list[int]] = {}
    for position, question in enumerate(questions):
        by_benchmark.setdefault(question.benchmark, []).append(position)
    return {
        name: _task(questions[positions[0]].template, questions, positions)
        for name, positions in by_benchmark.items()
    }


def _task(
    template: str, questions: Sequence[Question], positions: Sequence[int]
) -> ConfigurableTask:
    documents = [
        {
            **document_of(questions[position]),
            **({"prompt": own_prompt(questions[position].item)} if template == OWN else {}),
            "position": position,
        }
        for position in positions
    ]

    def rows(**_: Any) -> dict[str, Any]:
        # The task may look into any of its splits, for examples that are never given.
        return dict.fromkeys(_SPLITS, datasets.Dataset.from_list(documents))

    published = BENCHMARKS.get(template)
    if published is None:
        manager = lm_eval.tasks.TaskManager(include_defaults=False)
        config = {**_own_config(), "task": OWN, "custom_dataset": rows}
        loaded = manager.load([config])["tasks"][OWN]
    else:
        # Its folder alone: reading all of the library's thousands takes seven seconds.
        folder = str(_TASKS / published.folder)
        manager = lm_eval.tasks.TaskManager(include_path=folder, include_defaults=False)
        config = {"task": published.task, "custom_dataset": rows}
        [loaded] = manager.load([{"group": "medqlora", "task": [config]}])["tasks"].values()
    loaded.set_config("num_fewshot", 0)
    return loaded


def _own_config() -> dict[str, Any]:
    return {
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "prompt",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "metric_list": [_ACCURACY],
    }


class BothModels(HFLM):  # type: ignore[misc]  # the library carries no types
    """The library's model class over one set of weights, with the adapter left out or applied.

    Args:
        model: A model with our adapter; without one, both sides are the base model.
        tokenizer: Its tokenizer.
        batch_size: Questions at once.

    Attributes:
        num_cut: Questions that were longer than the model reads and were cut at their beginning.
    """

    def __init__(self, model: Any, tokenizer: Any, *, batch_size: int) -> None:
        super().__init__(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
        self._questions_at_once = batch_size
        self.num_cut = 0

    def answers(
        self,
        questions: Sequence[Question],
        tasks: Tasks,
        *,
        should_stop: Callable[[], bool],
    ) -> Iterator[list[ChoiceAnswer]]:
        """Both models' answers, batch by batch, the longest questions first; ends early when told.

        Args:
            questions: What is asked.
            tasks: What `build_tasks` made of them.
            should_stop: Asked before each batch.
        """
        requests = _requests(tasks)
        ordered = sorted(requests, key=self._length_and_tokens(requests))
        for start in range(0, len(ordered), self._questions_at_once):
            if should_stop():
                return
            positions = ordered[start : start + self._questions_at_once]
            scores = {side: self._scores([requests[p] for p in positions], side) for side in SIDES}
            yield [
                _answer(
                    questions[position],
                    tasks[questions[position].benchmark],
                    requests[position][0].doc,
                    {side: scores[side][number] for side in SIDES},
                )
                for number, position in enumerate(positions)
            ]

    def _length_and_tokens(
        self, requests: Mapping[int, Sequence[Instance]]
    ) -> Callable[[int], tuple[int, tuple[int, ...]]]:
        """The library's own order, so that its batches, and with them every score, are the same."""
        keys = {}
        for position, (first, *_) in requests.items():
            tokens = [token for part in self._encode_pair(*first.args) for token in part]
            keys[position] = (-len(tokens), tuple(tokens))
            self.num_cut += len(tokens) > self.max_length + 1
        return keys.__getitem__

    def _scores(
        self, batch: Sequence[Sequence[Instance]], side: Side
    ) -> list[list[tuple[float, bool]]]:
        with self._speaking_as(side):
            flat = self.loglikelihood([one for item in batch for one in item], disable_tqdm=True)
        scored = iter(flat)
        return [[next(scored) for _ in item] for item in batch]

    def _speaking_as(self, side: Side) -> AbstractContextManager[None]:
        is_bare = side == "base" and carries_adapters(self.model)
        return self.model.disable_adapter() if is_bare else nullcontext()


def _requests(tasks: Tasks) -> dict[int, list[Instance]]:
    """The library's requests of each question, one a choice, in the order of the choices."""
    requests: dict[int, list[Instance]] = {}
    for task in tasks.values():
        task.build_all_requests(limit=None, rank=0, world_size=1)
        for instance in task.instances:
            requests.setdefault(instance.doc["position"], []).append(instance)
    return {
        position: sorted(found, key=lambda one: one.idx) for position, found in requests.items()
    }


def _answer(
    question: Question,
    task: ConfigurableTask,
    document: Mapping[str, Any],
    scores: Mapping[Side, Sequence[tuple[float, bool]]],
) -> ChoiceAnswer:
    choices = choices_of(question)
    gold = choices[question.item.gold]
    likelihoods = {side: tuple(value for value, _ in found) for side, found in scores.items()}
    chosen = {
        side: _choice(choices, gold, likelihoods[side], task.process_results(document, found))
        for side, found in scores.items()
    }
    return ChoiceAnswer(
        benchmark=question.benchmark,
        item_id=question.item.item_id,
        gold=gold,
        choices=choices,
        base=chosen["base"],
        fine_tuned=chosen["fine_tuned"],
        base_scores=likelihoods["base"],
        fine_tuned_scores=likelihoods["fine_tuned"],
        label=question.item.label,
    )


def _choice(
    choices: Sequence[str], gold: str, likelihoods: Sequence[float], judged: Mapping[str, float]
) -> str:
    """The most likely choice; empty where the model gave no numbers."""
    if not all(map(math.isfinite, likelihoods)):
        return ""
    if judged["acc"]:
        return gold
    return choices[max(range(len(choices)), key=likelihoods.__getitem__)]

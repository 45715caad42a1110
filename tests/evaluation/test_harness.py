"""Scores are lm-evaluation-harness's own: prompts, likelihoods and judgement, item by item."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.benchmark import OWN, ChoiceAnswer, ChoiceItem, Question
from medqlora.evaluation.benchmark_reading import read_file
from medqlora.evaluation.benchmarks import BENCHMARKS, choices_of, document_of
from medqlora.evaluation.intervals import wilson_interval
from medqlora.models.engine import LoadedModel
from medqlora.models.loader import QuantizedModelLoader, engine_for
from tests.evaluation.shared_data import shared_file

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8)
FILES = {
    "medqa": "medqa_us_4opt_200.jsonl",
    "medmcqa": "medmcqa_dev_500.parquet",
    "pubmedqa": "pubmedqa_ori_pqal.json",
    "mmlu-anatomy": "mmlu_anatomy_test.csv",
}


def published(name: str, limit: int) -> list[Question]:
    items, _ = read_file(shared_file(FILES[name]), published=BENCHMARKS[name])
    return [Question(benchmark=name, template=name, item=one) for one in items[:limit]]


def own(n: int, *, num_options: int = 4) -> list[Question]:
    texts = ("red", "green", "blue", "white", "black")
    return [
        Question(
            benchmark="own-ward",
            template=OWN,
            item=ChoiceItem(
                item_id=f"line {i}",
                question=f"Which sign is number {i}{' of many' * (i % 5)}?",
                options=texts[:num_options],
                gold=i % num_options,
            ),
        )
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def tuned(tiny_model: Path) -> Any:
    """A model whose adapter changes its answers, and its tokenizer."""
    import torch

    engine = engine_for(CONFIG)
    loaded: LoadedModel = engine.load_base(str(tiny_model), CONFIG)
    model = engine.attach_adapter(loaded.model, CONFIG)
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.5)
    return model, loaded.tokenizer


def asked(tuned: Any, questions: Sequence[Question], *, batch_size: int = 4) -> list[ChoiceAnswer]:
    from medqlora.evaluation.harness import BothModels, build_tasks

    both = BothModels(*tuned, batch_size=batch_size)
    tasks = build_tasks(questions)
    batches = both.answers(questions, tasks, should_stop=lambda: False)
    answers = {one.key: one for batch in batches for one in batch}
    return [answers[question.key] for question in questions]


def theirs(
    model: Any, tokenizer: Any, questions: Sequence[Question], name: str
) -> list[dict[str, Any]]:
    """What `lm_eval.simple_evaluate` itself finds, item by item."""
    import lm_eval
    from datasets import Dataset
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    task = BENCHMARKS[name]

    def rows(**_: Any) -> dict[str, Any]:
        table = Dataset.from_list([document_of(one) for one in questions])
        return dict.fromkeys(("train", "validation", "test", "dev"), table)

    folder = Path(lm_eval.__file__).parent / "tasks" / task.folder
    results = lm_eval.simple_evaluate(
        HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4),
        tasks=[{"group": "theirs", "task": [{"task": task.task, "custom_dataset": rows}]}],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        num_fewshot=0,
        bootstrap_iters=0,
    )
    samples = sorted(results["samples"][task.task], key=lambda one: one["doc_id"])
    right = [one["acc"] for one in samples]
    assert results["results"][task.task]["acc,none"] == pytest.approx(sum(right) / len(right))
    return samples


@pytest.mark.parametrize("name", FILES)
def test_prompts_are_those_of_the_leaderboard(name: str) -> None:
    from medqlora.evaluation.harness import build_tasks

    oracle = json.loads(shared_file("eval/lm_eval_prompts.json").read_text("utf-8"))["tasks"]
    expected = oracle[BENCHMARKS[name].task]["example"]
    questions = published(name, 500)
    [task] = build_tasks(questions).values()
    task.build_all_requests(limit=None, rank=0, world_size=1)
    found = [one for one in task.instances if one.args[0] == expected["prompt"]]
    choices = choices_of(questions[0])
    assert [one.args[1] for one in found] == [f" {choice}" for choice in choices]
    document = found[0].doc
    target = task.doc_to_target(document)
    gold = target if isinstance(target, str) else choices[target]
    assert gold == expected["gold"] == choices[questions[document["position"]].item.gold]


@pytest.mark.parametrize("name", FILES)
def test_scores_are_the_librarys_own_item_by_item(name: str, tuned: Any) -> None:
    questions = published(name, 24)
    ours = asked(tuned, questions)
    model, tokenizer = tuned
    with model.disable_adapter():
        base = theirs(model, tokenizer, questions, name)
    for found, side, choice, likelihoods in (
        (base, "base", lambda one: one.base, lambda one: one.base_scores),
        (
            theirs(model, tokenizer, questions, name),
            "tuned",
            lambda one: one.fine_tuned,
            lambda one: one.fine_tuned_scores,
        ),
    ):
        assert [choice(one) == one.gold for one in ours] == [one["acc"] == 1 for one in found], side
        for our, their in zip(ours, found, strict=True):
            expected = [likelihood for likelihood, _ in their["filtered_resps"]]
            assert likelihoods(our) == pytest.approx(expected, abs=1e-4), side
    assert any(one.base_scores != one.fine_tuned_scores for one in ours)


def test_an_adapter_that_changes_nothing_changes_no_answer(tiny_model: Path) -> None:
    engine = engine_for(CONFIG)
    loaded = engine.load_base(str(tiny_model), CONFIG)
    model = engine.attach_adapter(loaded.model, CONFIG)  # a fresh adapter is zero
    answers = asked((model, loaded.tokenizer), own(10))
    assert [one.base_scores for one in answers] == [one.fine_tuned_scores for one in answers]


def test_own_questions_take_any_number_of_options(tuned: Any) -> None:
    answers = asked(tuned, own(10, num_options=5))
    assert {len(one.base_scores) for one in answers} == {5}
    assert {one.choices for one in answers} == {("A", "B", "C", "D", "E")}
    assert [one.gold for one in answers] == ["A", "B", "C", "D", "E"] * 2


def test_asking_ends_between_two_batches_when_told(tuned: Any) -> None:
    from medqlora.evaluation.harness import BothModels, build_tasks

    questions = own(12)
    both = BothModels(*tuned, batch_size=4)
    done: list[ChoiceAnswer] = []

    def is_enough() -> bool:
        return len(done) > 4

    for batch in both.answers(questions, build_tasks(questions), should_stop=is_enough):
        done.extend(batch)
    assert len(done) == 8


def test_a_model_that_gives_no_numbers_answers_nothing(tiny_model: Path) -> None:
    import torch

    engine = engine_for(CONFIG)
    loaded = engine.load_base(str(tiny_model), CONFIG)
    model = engine.attach_adapter(loaded.model, CONFIG)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.fill_(float("nan"))
    answers = asked((model, loaded.tokenizer), own(4))
    assert [one.fine_tuned for one in answers] == [""] * 4
    assert all(one.base for one in answers)


def test_questions_longer_than_the_model_reads_are_cut_and_counted(tuned: Any) -> None:
    from medqlora.evaluation.harness import BothModels, build_tasks

    long = ChoiceItem(item_id="1", question="why " * 3000, options=("a", "b"), gold=0)
    questions = [*own(3), Question(benchmark="own-ward", template=OWN, item=long)]
    both = BothModels(*tuned, batch_size=2)
    answers = list(both.answers(questions, build_tasks(questions), should_stop=lambda: False))
    assert both.num_cut == 1
    assert sum(map(len, answers)) == 4


@pytest.mark.slow
def test_the_embedded_model_scores_at_chance_as_the_library_says(tmp_path: Path) -> None:
    config = QLoRAConfig(EMBEDDED_MODEL)
    loaded = QuantizedModelLoader(models_dir=tmp_path).load(config, engine=engine_for(config))
    questions = published("mmlu-anatomy", 60)
    ours = asked((loaded.model, loaded.tokenizer), questions)
    found = theirs(loaded.model, loaded.tokenizer, questions, "mmlu-anatomy")
    assert [one.base == one.gold for one in ours] == [one["acc"] == 1 for one in found]
    assert [one.base for one in ours] == [one.fine_tuned for one in ours]  # there is no adapter
    low, high = wilson_interval(sum(one.base == one.gold for one in ours), n=len(ours))
    assert low <= 0.25 <= high

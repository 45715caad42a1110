"""The evaluator, on a real two-layer Llama with a real LoRA adapter."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest

from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.evaluation import ItemResult
from medqlora.errors import EvaluationError
from medqlora.evaluation.evaluator import MedicalQueryEvaluator
from medqlora.evaluation.metrics import METRICS

WORDS = [
    "what",
    "lowers",
    "glucose",
    "metformin",
    "insulin",
    "rest",
    "fluids",
    "and",
    "the",
    "of",
    "a",
    "doctor",
    "fever",
    "pain",
]
TEMPLATE = (
    "{% for message in messages %}<s> {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<a>{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    vocabulary = {
        word: place for place, word in enumerate(["<pad>", "</s>", "<u>", "<s>", "<a>", *WORDS])
    }
    inner = Tokenizer(WordLevel(vocabulary, unk_token="<u>"))
    inner.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<u>",
        chat_template=TEMPLATE,
    )


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    base = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=64,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    # init_lora_weights=False: an adapter that already says something else than its base.
    adapter = LoraConfig(
        r=8, lora_alpha=64, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    )
    return get_peft_model(base, adapter)


@pytest.fixture(scope="module")
def evaluator(tokenizer: Any) -> MedicalQueryEvaluator:
    return MedicalQueryEvaluator(tokenizer=tokenizer, max_new_tokens=12)


def test_a_query_gets_an_answer_with_its_tokens_time_and_safety_result(
    evaluator: MedicalQueryEvaluator, model: Any
) -> None:
    result = evaluator.evaluate_query("what lowers glucose", model)
    assert result.query == "what lowers glucose"
    assert 0 <= result.num_tokens <= 12
    assert result.seconds > 0
    assert result.scores == {}
    assert result.filter_result is not None
    assert result.filter_result.original_text == result.response


def test_the_same_query_gets_the_same_answer_again(
    evaluator: MedicalQueryEvaluator, model: Any
) -> None:
    first, second = (evaluator.evaluate_query("fever and pain", model) for _ in range(2))
    assert first.response == second.response


def one(
    evaluator: MedicalQueryEvaluator, model: Any, question: str, *, answer: str = "", **options: Any
) -> ItemResult:
    entry = MedicalDataEntry(question, answer)
    [item] = evaluator.evaluate_entries([entry], model, **options)
    return item


def test_entries_of_one_batch_get_what_each_gets_alone(
    evaluator: MedicalQueryEvaluator, model: Any
) -> None:
    entries = [
        MedicalDataEntry("the fever", "rest"),
        MedicalDataEntry("what lowers glucose now", ""),
    ]
    together = evaluator.evaluate_entries(entries, model)
    alone = [evaluator.evaluate_entries([entry], model)[0] for entry in entries]
    assert [item.index for item in together] == [1, 2]
    assert [item.base.response for item in together] == [item.base.response for item in alone]
    assert [item.finetuned.response for item in together] == [
        item.finetuned.response for item in alone
    ]


def test_both_answers_come_from_one_model_and_are_scored(
    evaluator: MedicalQueryEvaluator, model: Any
) -> None:
    item = one(evaluator, model, "what lowers glucose", answer="metformin", first_index=3)
    assert item.index == 3
    assert set(item.base.scores) == set(item.finetuned.scores) == set(METRICS)
    assert item.base.response != item.finetuned.response


def test_the_fine_tuned_half_of_an_item_is_what_the_query_alone_gets(
    evaluator: MedicalQueryEvaluator, model: Any
) -> None:
    item = one(evaluator, model, "rest and fluids")
    assert item.finetuned.response == evaluator.evaluate_query("rest and fluids", model).response
    assert item.finetuned.scores == {}


def test_the_base_half_of_an_item_is_what_the_model_says_without_its_adapter(
    evaluator: MedicalQueryEvaluator, model: Any
) -> None:
    item = one(evaluator, model, "rest and fluids")
    with model.disable_adapter():
        alone = evaluator.evaluate_query("rest and fluids", model.get_base_model())
    assert item.base.response == alone.response


def test_an_item_that_is_stopped_ends_after_one_token(
    evaluator: MedicalQueryEvaluator, model: Any
) -> None:
    item = one(evaluator, model, "the fever", should_stop=lambda: True)
    assert item.base.num_tokens <= 1


@pytest.mark.parametrize(("query", "says"), [("  ", "empty"), ("pain " * 500, "tokens")])
def test_a_query_that_cannot_be_asked_is_refused_with_a_way_out(
    evaluator: MedicalQueryEvaluator, model: Any, query: str, says: str
) -> None:
    with pytest.raises(EvaluationError, match=says) as refused:
        evaluator.evaluate_query(query, model)
    assert refused.value.hint


def test_compare_and_filter_are_the_seeds_methods(evaluator: MedicalQueryEvaluator) -> None:
    compared = evaluator.compare_responses("Q", "rest", "rest")
    assert compared.are_identical
    assert evaluator.filter_unsafe_content("I want to die").flags[0].kind == "self_harm"


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("evaluate_query", ["self", "query", "model"]),
        ("compare_responses", ["self", "query", "base_response", "finetuned_response"]),
        ("filter_unsafe_content", ["self", "response"]),
    ],
)
def test_the_signatures_are_the_seeds(method: str, parameters: list[str]) -> None:
    found = inspect.signature(getattr(MedicalQueryEvaluator, method))
    assert list(found.parameters) == parameters


def test_importing_the_package_brings_in_no_heavy_library() -> None:
    names = "evaluator, comparator, table, safety, metrics, statistics"
    heavy = "torch", "transformers", "peft", "nltk", "scipy", "gradio"
    code = (
        f"from medqlora.evaluation import {names}; import sys; "
        f"print(*[name for name in {heavy!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []

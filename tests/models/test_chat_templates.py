"""The templates that the app brings: what is learned is the answer and its end, nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import GenerationConfig

from medqlora.data.tokenizer import IGNORED_LABEL, MedicalTokenizer
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.models.chat_templates import LLAMA_3, QUESTION_AND_ANSWER
from medqlora.models.generation import _end_tokens
from medqlora.models.tokenizers import load_tokenizer

ENTRIES = (
    MedicalDataEntry(question="What is asthma?", answer="A disease of the airways."),
    MedicalDataEntry(question="Is it frequent?\n", answer=" Yes.\n\n", context="A trial."),
    MedicalDataEntry(question="How much?", answer="5 mg"),
    MedicalDataEntry(question="Which?", answer="<5 mg: none\n- two\n- three"),
    MedicalDataEntry(question="Answer: what?", answer="Question: that."),
)


def ends_of(tokenizer: Any, *, named: list[int] | int | None = None) -> list[int]:
    """What ends an answer of a model whose `generation_config.json` names these tokens."""
    model = SimpleNamespace(generation_config=GenerationConfig(eos_token_id=named))
    return _end_tokens(model, tokenizer)


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    return load_tokenizer(str(tiny_model), model_name="tiny")


@pytest.fixture
def llama_3(tokenizer: Any) -> Any:
    """A tokenizer as Llama 3's base model has it: texts end with another token than turns."""
    turns = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": turns})
    tokenizer.eos_token = "<|end_of_text|>"
    tokenizer.chat_template = LLAMA_3
    return tokenizer


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda one: one.question.strip())
def test_the_answer_and_its_end_are_learned(entry: MedicalDataEntry, tokenizer: Any) -> None:
    tokenizer.chat_template = QUESTION_AND_ANSWER
    encoded = MedicalTokenizer(tokenizer, max_seq_length=512).encode(entry)
    learned = [one for one in encoded.labels if one != IGNORED_LABEL]
    masked = encoded.input_ids[: len(encoded.input_ids) - len(learned)]
    assert tokenizer.decode(learned) == f" {entry.answer.strip()}{tokenizer.eos_token}"
    assert learned[-1] == tokenizer.eos_token_id
    context = f"{entry.context}\n\n" if entry.context else ""
    said = f"{tokenizer.bos_token}Question: {context}{entry.question.strip()}\nAnswer:"
    assert tokenizer.decode(masked) == said


def test_it_needs_no_token_that_the_model_lacks(tokenizer: Any) -> None:
    tokenizer.chat_template = QUESTION_AND_ANSWER
    num_known = len(tokenizer)
    MedicalTokenizer(tokenizer, max_seq_length=512).encode(ENTRIES[0])
    assert len(tokenizer) == num_known
    assert ends_of(tokenizer) == [tokenizer.eos_token_id]
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": "Three?"},
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert text == (
        f"{tokenizer.bos_token}Be brief.\n\nQuestion: One?\nAnswer: Two.{tokenizer.eos_token}\n\n"
        "Question: Three?\nAnswer:"
    )


def test_llama_3_learns_to_end_its_turn_and_its_text(llama_3: Any) -> None:
    encoded = MedicalTokenizer(llama_3, max_seq_length=512).encode(ENTRIES[0])
    learned = [one for one in encoded.labels if one != IGNORED_LABEL]
    assert llama_3.decode(learned) == f"{ENTRIES[0].answer}<|eot_id|><|end_of_text|>"
    ends = llama_3.convert_tokens_to_ids(["<|eot_id|>", "<|end_of_text|>"])
    assert ends_of(llama_3) == sorted(ends)  # the base model says the first alone


def test_a_turn_that_ends_as_the_text_does_ends_once(llama_3: Any) -> None:
    llama_3.eos_token = "<|eot_id|>"
    encoded = MedicalTokenizer(llama_3, max_seq_length=512).encode(ENTRIES[0])
    assert llama_3.decode(encoded.input_ids).endswith("airways.<|eot_id|>")
    assert ends_of(llama_3) == [llama_3.eos_token_id]


def test_what_the_model_names_ends_an_answer_too(llama_3: Any) -> None:
    said = llama_3.convert_tokens_to_ids(["<|eot_id|>", "<|end_of_text|>"])
    assert ends_of(llama_3, named=[7, said[0]]) == sorted({7, *said})
    assert ends_of(llama_3, named=7) == sorted({7, *said})

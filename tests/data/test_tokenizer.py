"""Only the answer is trained on, what is cut is counted, and no empty answer is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medqlora.data.tokenizer import IGNORED_LABEL, MedicalTokenizer
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.errors import DataError, ModelError

ENTRY = MedicalDataEntry("What is fever?", "A raised body temperature.")


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def trained_text(tokenizer: Any, labels: tuple[int, ...]) -> str:
    return str(tokenizer.decode([label for label in labels if label != IGNORED_LABEL]))


def test_the_answer_and_its_end_are_trained_and_nothing_else(tokenizer: Any) -> None:
    encoded = MedicalTokenizer(tokenizer, max_seq_length=512).encode(ENTRY)
    assert trained_text(tokenizer, encoded.labels) == "A raised body temperature.<|im_end|>"
    assert len(encoded.labels) == len(encoded.input_ids)
    assert encoded.num_cut == 0
    kept = [label for label in encoded.labels if label != IGNORED_LABEL]
    assert list(encoded.input_ids)[-len(kept) :] == kept


def test_the_context_comes_before_the_question(tokenizer: Any) -> None:
    entry = MedicalDataEntry("Does it help?", "Yes.", context="A trial of rest.")
    encoded = MedicalTokenizer(tokenizer, max_seq_length=512).encode(entry)
    text = tokenizer.decode(encoded.input_ids)
    assert text.index("A trial of rest.") < text.index("Does it help?")
    assert trained_text(tokenizer, encoded.labels) == "Yes.<|im_end|>"


def test_what_is_too_long_is_cut_at_its_end_and_counted(tokenizer: Any) -> None:
    whole = MedicalTokenizer(tokenizer, max_seq_length=512).encode(ENTRY)
    cut = MedicalTokenizer(tokenizer, max_seq_length=len(whole.input_ids) - 3).encode(ENTRY)
    assert cut.num_cut == 3
    assert cut.input_ids == whole.input_ids[:-3]
    assert cut.labels == whole.labels[:-3]


def test_entries_without_an_answer_left_are_left_out(tokenizer: Any) -> None:
    long_question = MedicalDataEntry("Why? " * 200, "Because.")
    encoded = MedicalTokenizer(tokenizer, max_seq_length=64).encode_all([ENTRY, long_question])
    assert len(list(encoded)) == 1
    assert (encoded.num_entries, encoded.num_left_out) == (2, 1)


def test_data_of_which_nothing_could_be_learned_is_refused(tokenizer: Any) -> None:
    long_question = MedicalDataEntry("Why? " * 200, "Because.")
    encoded = MedicalTokenizer(tokenizer, max_seq_length=64).encode_all([long_question] * 3)
    assert list(encoded) == []
    with pytest.raises(DataError, match="no answer is left"):
        encoded.require_some()


def test_a_model_without_a_chat_template_is_refused(tokenizer: Any) -> None:
    template, tokenizer.chat_template = tokenizer.chat_template, None
    try:
        with pytest.raises(ModelError, match="no chat template"):
            MedicalTokenizer(tokenizer, max_seq_length=64)
    finally:
        tokenizer.chat_template = template

"""A model that thinks aloud learns, answers and is measured by its answer.

The template does what those of DeepSeek-R1's distillations do: it leaves the reasoning out of turns
that are over, and ends the prompt with the opening tag.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medqlora.data.tokenizer import IGNORED_LABEL, MedicalTokenizer
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.generation import GenerationSettings
from medqlora.domain.reasoning import Spoken
from medqlora.evaluation.metrics import score
from medqlora.models.engine import BASE_ADAPTER
from medqlora.models.generation import generate

OPENS_IN_PROMPT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'].split('</think>')[-1] }}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
OPENS_ITSELF = OPENS_IN_PROMPT.replace("<think>\n{% endif", "{% endif")
QUESTION = "What is fever?"
PLAIN = MedicalDataEntry(QUESTION, "A raised body temperature.")
ALOUD = MedicalDataEntry(QUESTION, "<think>\nHeat?\n</think>\n\nA raised body temperature.")


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tiny_model)
    loaded.chat_template = OPENS_IN_PROMPT
    return loaded


def learned(tokenizer: Any, entry: MedicalDataEntry) -> tuple[str, str]:
    """What is read and what is learned."""
    encoded = MedicalTokenizer(tokenizer, max_seq_length=512).encode(entry)
    labels = [one for one in encoded.labels if one != IGNORED_LABEL]
    read = encoded.input_ids[: len(encoded.input_ids) - len(labels)]
    return tokenizer.decode(read), tokenizer.decode(labels)


def asked(tokenizer: Any) -> str:
    turns = [{"role": "user", "content": QUESTION}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def test_a_prompt_that_opens_the_reasoning_is_read_as_it_will_be_asked(tokenizer: Any) -> None:
    answer = "A raised body temperature.<|im_end|>"
    assert learned(tokenizer, PLAIN) == (asked(tokenizer), f"\n</think>\n\n{answer}")
    assert learned(tokenizer, ALOUD) == (asked(tokenizer), f"Heat?\n</think>\n\n{answer}")


def test_reasoning_that_a_template_would_drop_is_learned(tokenizer: Any) -> None:
    tokenizer.chat_template = OPENS_ITSELF
    assert learned(tokenizer, PLAIN)[1] == "A raised body temperature.<|im_end|>"
    assert learned(tokenizer, ALOUD) == (
        asked(tokenizer),
        "<think>\nHeat?\n</think>\n\nA raised body temperature.<|im_end|>",
    )


def test_the_tag_that_the_prompt_opened_is_part_of_the_answer(
    tokenizer: Any, tiny_model: Path
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    seen: list[str] = []
    [answer] = generate(
        model,
        tokenizer,
        [[{"role": "user", "content": QUESTION}]],
        adapters=[BASE_ADAPTER],
        settings=GenerationSettings(max_new_tokens=4),
        on_text=lambda row, text: seen.append(text),
    )
    assert answer.text.startswith("<think>")
    assert seen[-1] == answer.text
    assert Spoken.of(answer.text).is_unfinished


def test_reasoning_is_not_compared_with_the_reference() -> None:
    reference = "A raised body temperature."
    aloud = score(f"<think>\nIs it heat, or cold?\n</think>\n\n{reference}", reference)
    assert aloud == score(reference, reference)
    assert aloud == score(reference, f"<think>Surely.</think>{reference}")
    assert score(f"<think>\n{reference}", reference)["token_f1"] == 0


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("Yes.", "", "Yes."),
        ("<think>Hm.</think>Yes.", "Hm.", "Yes."),
        ("Hm.\n</think>\n\nYes.", "Hm.", "Yes."),
        ("<think>\n\n</think>\n\nYes.", "", "Yes."),
        ("<think>Hm. A </think> tag.</think>Yes.", "Hm. A </think> tag.", "Yes."),
        ("<think>Hm", "Hm", ""),
        ("", "", ""),
    ],
)
def test_reasoning_is_told_from_the_answer(text: str, reasoning: str, answer: str) -> None:
    assert Spoken.of(text) == Spoken(reasoning, answer)

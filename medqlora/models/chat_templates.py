"""Chat templates that the app brings, for models of the catalogue that have none.

They are built of words and of tokens that the model knows, so that no embedding has to be added,
and an answer ends with the token at which the tokenizer says a text ends, so that the model learns
to stop. An adapter was trained with its template: what is here is never changed, only added to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from medqlora.models import catalog
from medqlora.models.description import has_template

FILE: Final = "chat_template.jinja"

# The space after "Answer:" belongs to what is said, as sentence pieces have it: the prompt's tokens
# are then the same whether an answer follows or not.
QUESTION_AND_ANSWER: Final = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}Question: {{ message['content'] | trim }}\n"
    "{% elif message['role'] == 'assistant' %}"
    "Answer: {{ message['content'] | trim }}{{ eos_token }}\n\n"
    "{% else %}{{ message['content'] | trim }}\n\n"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Answer:{% endif %}"
)

# Llama 3's turns. A tokenizer whose texts end with another token than its turns gets both, because
# answers are drawn until the former.
LLAMA_3: Final = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>"
    "{% if message['role'] == 'assistant' and eos_token != '<|eot_id|>' %}"
    "{{ eos_token }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)

_TEMPLATES: Final = {"question-answer": QUESTION_AND_ANSWER, "llama-3": LLAMA_3}


def missing_template(model_name: str, folder: Path) -> str:
    """The template that a model's folder lacks and the app brings; empty where it lacks none.

    Args:
        model_name: The model.
        folder: Its files.
    """
    entry = catalog.entry_for(model_name)
    if entry is None or not entry.brought_template or has_template(folder):
        return ""
    return _TEMPLATES[entry.brought_template]

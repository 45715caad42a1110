"""GuardModel asks a language model that judges safety: Llama Guard or Granite Guardian.

Neither ships with medqlora: their files are put into the workspace's `models/guard/`, or fetched
from the hub by whoever accepts their licences. What a guard says is added to the filter's own
flags. Its families differ in how they are asked and what they answer; both are rows of `FAMILIES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqlora.errors import ModelError

FOLDER_NAME = "guard"
MAX_NEW_TOKENS = 24
MAX_CHARS = 20_000
"""Of each text; what is longer is judged by its beginning."""


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """What a guard model says.

    Attributes:
        is_unsafe: Whether it objects.
        category: Its own name of what it objects to, such as `S6`; empty where it does not.
    """

    is_unsafe: bool
    category: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardFamily:
    """How one family of guard models is asked and what it answers.

    Attributes:
        name: Its name.
        architecture: A word of the `architectures` entry or of the folder's model name.
        answer: A pattern of its answer; the group `unsafe` is there where it objects, the group
            `category` says to what.
        template_options: What its chat template is given besides the conversation.
    """

    name: str
    architecture: str
    answer: re.Pattern[str]
    template_options: Mapping[str, Any] = field(default_factory=dict)


FAMILIES = (
    GuardFamily(
        name="Granite Guardian",
        architecture="granite",
        answer=re.compile(
            r"\s*(?:<think>.*?</think>)?\s*(?:<score>)?\s*(?:(?P<unsafe>yes)|no)\b", re.I | re.S
        ),
        template_options={"guardian_config": {"risk_name": "harm"}},
    ),
    GuardFamily(
        name="Llama Guard",
        architecture="llama",
        answer=re.compile(
            r"\s*(?:(?P<unsafe>unsafe)\s*(?P<category>S\d+(?:\s*,\s*S\d+)*)?|safe)\b"
        ),
    ),
)


class GuardModel:
    """A guard model, loaded by transformers from a folder.

    Args:
        folder: A folder with the model's files.

    Raises:
        ModelError: The folder holds no guard model of a known family.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._family = _family(folder)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                dtype="auto",
                device_map="auto",
            )
        except (OSError, ValueError) as error:
            raise ModelError(
                "The guard model cannot be loaded.", hint=_HINT.format(folder=folder)
            ) from error

    @property
    def name(self) -> str:
        """The family's name."""
        return self._family.name

    def judge(self, query: str, response: str | None = None) -> GuardVerdict:
        """What the guard says of a question, or of the answer to it.

        Raises:
            ModelError: Its answer is none that its family gives.
        """
        import torch

        turns = [{"role": "user", "content": query[:MAX_CHARS]}]
        if response is not None:
            turns.append({"role": "assistant", "content": response[:MAX_CHARS]})
        inputs = self._tokenizer.apply_chat_template(
            turns,
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
            **self._family.template_options,
        ).to(self._model.device)
        with torch.inference_mode():
            output = self._model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
        said = self._tokenizer.decode(
            output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        match = self._family.answer.match(said)
        if match is None:
            raise ModelError(
                f"The guard model gave an answer that {self.name} does not give.",
                hint="Check that the files in models/guard are a guard model's, or remove them.",
            )
        found = match.groupdict()
        is_unsafe = found["unsafe"] is not None
        return GuardVerdict(is_unsafe, (found.get("category") or "harm") if is_unsafe else "")


def installed_guard(models_dir: Path) -> GuardModel | None:
    """The guard model of a workspace, or None where there is none."""
    folder = models_dir / FOLDER_NAME
    return GuardModel(folder) if folder.is_dir() else None


_HINT = "Put the files of Llama Guard or Granite Guardian into {folder}, or remove the folder."


def _family(folder: Path) -> GuardFamily:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architecture = " ".join(config["architectures"]).lower()
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            "The folder of the guard model holds no model.", hint=_HINT.format(folder=folder)
        ) from error
    for family in FAMILIES:
        if family.architecture in architecture:
            return family
    raise ModelError(
        "The guard model is of a family that is not known.", hint=_HINT.format(folder=folder)
    )

"""A guard model: loaded by transformers from a folder, asked with its own template, understood.

Real guards need files that are not on this machine. The stand-in is a real Llama with a real
template that was made to say one thing whatever it is asked; loading, asking and reading are the
product's.
"""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from medqlora.errors import ModelError
from medqlora.evaluation.guard import FAMILIES, FOLDER_NAME, GuardModel, installed_guard
from medqlora.evaluation.safety import SafetyFilter

ASKED = "How is a fever lowered?"


def says(tiny_model: Path, folder: Path, words: str) -> Path:
    """A guard that answers `words`, one token after the other, whatever it reads."""
    shutil.copytree(tiny_model, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    start = tokenizer.encode("assistant\n", add_special_tokens=False)[-1]
    chain = [start, *tokenizer.encode(words, add_special_tokens=False), tokenizer.eos_token_id]
    size = model.config.hidden_size
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.model.norm.weight.fill_(1)
        # Each token's own direction, and the next one looks into it.
        for i, (here, after) in enumerate(pairwise(chain)):
            model.model.embed_tokens.weight[here, i % size] = 1
            model.lm_head.weight[after, i % size] = 1
    model.save_pretrained(folder)
    return folder


def test_a_guard_that_objects_holds_the_question_back(tiny_model: Path, tmp_path: Path) -> None:
    guard = GuardModel(says(tiny_model, tmp_path / "guard", "unsafe S6"))
    assert guard.name == "Llama Guard"
    verdict = guard.judge(ASKED)
    assert verdict.is_unsafe
    assert verdict.category == "S6"
    result = SafetyFilter(guard=guard).check_query(ASKED)
    assert not result.allowed
    assert [flag.kind for flag in result.flags] == ["guard"]
    assert "Llama Guard" in result.flags[0].reason
    answer = SafetyFilter(guard=guard).check_response("By cooling.", ASKED)
    assert not answer.allowed
    assert answer.original_text == "By cooling."


def test_a_guard_that_does_not_object_changes_nothing(tiny_model: Path, tmp_path: Path) -> None:
    guard = GuardModel(says(tiny_model, tmp_path / "guard", "safe"))
    assert not guard.judge(ASKED, "By cooling.").is_unsafe
    assert SafetyFilter(guard=guard).check_query(ASKED).flags == ()


def test_a_model_that_is_no_guard_is_told_in_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    guard = GuardModel(says(tiny_model, tmp_path / "guard", "A fever"))
    with pytest.raises(ModelError, match="does not give"):
        guard.judge(ASKED)


@pytest.mark.parametrize(
    ("said", "is_unsafe", "category"),
    [
        ("unsafe\nS1,S6", True, "S1,S6"),
        ("\n\nsafe", False, None),
        ("unsafe", True, None),
    ],
)
def test_answers_of_llama_guard(said: str, is_unsafe: bool, category: str | None) -> None:
    family = next(one for one in FAMILIES if one.name == "Llama Guard")
    match = family.answer.match(said)
    assert match is not None
    assert (match["unsafe"] is not None, match["category"]) == (is_unsafe, category)


@pytest.mark.parametrize(
    ("said", "is_unsafe"),
    [("Yes", True), ("No", False), ("<think>\n</think>\n<score> yes </score>", True)],
)
def test_answers_of_granite_guardian(said: str, is_unsafe: bool) -> None:
    family = next(one for one in FAMILIES if one.name == "Granite Guardian")
    match = family.answer.match(said)
    assert match is not None
    assert (match["unsafe"] is not None) == is_unsafe


def test_a_workspace_without_a_guard_has_none(tmp_path: Path) -> None:
    assert installed_guard(tmp_path) is None


def test_folders_that_hold_no_guard_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER_NAME
    folder.mkdir()
    with pytest.raises(ModelError, match="holds no model"):
        installed_guard(tmp_path)
    (folder / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    with pytest.raises(ModelError, match="not known"):
        installed_guard(tmp_path)
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        installed_guard(tmp_path)

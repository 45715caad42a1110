"""Pickled weights become safetensors with the same bytes, once, and of this commit.

The hub is a stand-in on loopback with the real client; files are what `torch.save` writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medqlora.models.chat_templates import LLAMA_3, QUESTION_AND_ANSWER
from tests.models.hub_stand_in import COMMIT, ModelHub, model_hub
from tests.models.pickled_models import (
    INDEX,
    ONE,
    PARTS,
    described,
    in_one_file,
    in_parts,
    pickled,
    weights_of,
)
from tests.models.test_hub import NOBODY, output_of

NAME = "someone/pickled"
PIECE = "model-00001-of-00001.safetensors"
LISTED = "BioMistral/BioMistral-7B"
RESOLVE = """
import json, os, sys
from pathlib import Path
from medqlora.errors import MedQLoRAError
from medqlora.models import unpickling
from medqlora.models.model_files import ModelFiles
place, allowed, *names = sys.argv[1:]
needs_weights = not allowed.endswith("-described")
allowed = allowed.removesuffix("-described")
if allowed:
    os.environ["MEDQLORA_PICKLED_WEIGHTS"] = allowed
for name in names:
    phases = []
    files = ModelFiles(models_dir=Path(place), on_progress=lambda phase, _: phases.append(phase))
    try:
        said = {"folder": files.resolve(name, needs_weights=needs_weights), "phases": phases}
    except MedQLoRAError as error:
        said = {"code": error.code, "error": error.message, "hint": error.hint}
    print(json.dumps(said))
"""


def resolved(hub: ModelHub | None, tmp_path: Path, name: str = NAME, allowed: str = "any") -> Any:
    """What comes of asking for the files of a model."""
    return resolved_all(hub, tmp_path, name, allowed=allowed)[0]


def resolved_all(hub: ModelHub | None, tmp_path: Path, *names: str, allowed: str = "any") -> Any:
    """What comes of asking for the files of models, one after the other."""
    arguments = (str(tmp_path / "models"), allowed, *names)
    endpoint = hub.endpoint if hub else NOBODY
    said = output_of(RESOLVE, *arguments, endpoint=endpoint, home=tmp_path / "home")
    return [json.loads(line) for line in said.splitlines()]


def left(tmp_path: Path) -> list[str]:
    """What lies beside converted weights, and pickles anywhere."""
    beside = [one.name for one in (tmp_path / "models" / ".converted").glob("*")]
    return [*beside, *(one.name for one in tmp_path.rglob("*.bin"))]


@pytest.mark.parametrize("make", [in_one_file, in_parts])
def test_converted_weights_have_the_bytes_of_the_pickled_ones(
    make: Any, tiny_model: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file

    from medqlora.models.transformers_engine import AutoModelForCausalLM

    with model_hub(tiny_model) as hub:
        hub.publish(NAME, make(tiny_model))
        said = resolved(hub, tmp_path)
        pickles = [ONE] if make is in_one_file else list(PARTS)
        assert hub.weights == [f"{NAME}/{one}" for one in pickles]
    folder = Path(said["folder"])
    found: dict[str, Any] = {}
    for file in folder.glob("*.safetensors"):
        found |= load_file(file)
    expected = weights_of(tiny_model)
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        assert found[name].dtype == weight.dtype
        assert torch.equal(found[name].view(torch.uint8), weight.view(torch.uint8)), name
    for name, content in described(tiny_model).items():
        assert (folder / name).read_bytes() == content
    assert not (folder / INDEX).exists()
    assert left(tmp_path) == [".lock", f"someone-pickled-{COMMIT}"]
    assert any(one.startswith("Fetching and converting pytorch_model") for one in said["phases"])
    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    whole = AutoModelForCausalLM.from_pretrained(tiny_model)
    ids = torch.arange(20).reshape(1, 20)
    with torch.no_grad():
        assert torch.equal(model(ids).logits, whole(ids).logits)


def test_nothing_is_fetched_or_converted_twice(tiny_model: Path, tmp_path: Path) -> None:
    with model_hub(tiny_model) as hub:
        hub.publish(NAME, in_parts(tiny_model))
        first = resolved(hub, tmp_path)
        weights = list(hub.weights)
        times = {
            one: one.stat().st_mtime_ns for one in (tmp_path / "models").rglob("*.safetensors")
        }
        assert resolved(hub, tmp_path)["folder"] == first["folder"]
        assert hub.weights == weights
    again = resolved(None, tmp_path, allowed="never")  # nobody answers, and nothing is unpickled
    assert again["folder"] == first["folder"]
    assert {one: one.stat().st_mtime_ns for one in times} == times


def test_tied_views_and_weights_with_attributes_are_kept_apart(
    tiny_model: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file

    weights = weights_of(tiny_model)
    embedding = weights["model.embed_tokens.weight"]
    weights["lm_head.weight"] = embedding  # the same memory, as models with tied embeddings have it
    weights["model.rows"] = embedding[1:3].t()  # a view, not contiguous
    weights["model.norm.weight"].from_somewhere = True  # as BioMistral's have
    weights["model.steps"] = torch.tensor(7, dtype=torch.int64)
    with model_hub(tiny_model) as hub:
        hub.publish(NAME, {**described(tiny_model), ONE: pickled(weights)})
        said = resolved(hub, tmp_path)
    found = load_file(Path(said["folder"]) / PIECE)
    assert found.keys() == weights.keys()
    for name, weight in weights.items():
        assert found[name].dtype == weight.dtype
        assert torch.equal(found[name], weight), name


def test_a_template_is_brought_where_the_model_has_none(tiny_model: Path, tmp_path: Path) -> None:
    files = {**in_one_file(tiny_model)}
    own = files.pop("chat_template.jinja")
    brought = {
        "epfl-llm/meditron-7b": QUESTION_AND_ANSWER,
        "aaditya/Llama3-OpenBioLLM-8B": LLAMA_3,
    }
    with model_hub(tiny_model) as hub:
        for name in brought:
            hub.publish(name, files)
        described_alone = resolved_all(hub, tmp_path, *brought, allowed="listed-described")
        assert hub.weights == []  # enough for counting tokens
        whole = resolved_all(hub, tmp_path, *brought, allowed="listed")
        for one in (*described_alone, *whole):
            template = (Path(one["folder"]) / "chat_template.jinja").read_text(encoding="utf-8")
            assert template in brought.values()
        assert [(Path(one["folder"]) / PIECE).is_file() for one in described_alone] == [False] * 2
        assert [(Path(one["folder"]) / PIECE).is_file() for one in whole] == [True] * 2
    with model_hub(tiny_model) as hub:
        for name in brought:
            hub.publish(name, {**files, "chat_template.jinja": own})
        for one in resolved_all(hub, tmp_path / "other", *brought, allowed="listed"):
            assert (Path(one["folder"]) / "chat_template.jinja").read_bytes() == own


def test_large_files_become_pieces_that_memory_holds(tmp_path: Path) -> None:
    import torch

    from medqlora.models import unpickling

    weights = {str(number): torch.zeros(3 * 2**28, dtype=torch.uint8) for number in range(3)}
    pieces = list(unpickling._pieces(weights))
    assert [list(one) for one in pieces] == [["0"], ["1"], ["2"]]
    assert [
        list(one) for one in unpickling._pieces({"a": weights["0"], "b": weights["0"][:9]})
    ] == [["a", "b"]]


@pytest.mark.parametrize(
    ("name", "allowed", "problem"),
    [
        (NAME, "", "are not converted here"),
        (NAME, "listed", "are not converted here"),
        (NAME, "never", "are not converted here"),
        (LISTED, "never", "are not converted here"),
        (LISTED, "sometimes", "must be listed, any or never"),
        (LISTED, "", ""),
        (LISTED, "any", ""),
    ],
)
def test_only_listed_models_are_converted_unless_the_operator_says_otherwise(
    name: str, allowed: str, problem: str, tiny_model: Path, tmp_path: Path
) -> None:
    with model_hub(tiny_model) as hub:
        hub.publish(name, in_one_file(tiny_model))
        said = resolved(hub, tmp_path, name, allowed)
        assert bool(hub.weights) is not bool(problem)
    assert problem in said.get("error", "")
    assert ("folder" in said) is not bool(problem)

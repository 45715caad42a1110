"""A run on a listed model fetches its 4-bit copy and is otherwise as if it had not.

The copy is a real one: the tiny model, quantised and saved by transformers. Hub and client as in
`test_hub`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import ConfigError
from tests.models.hub_stand_in import COMMIT, LISTED, LISTED_COPY, ModelHub, model_hub
from tests.models.test_hub import NOBODY, output_of

CHOOSE = """
import json, sys
from pathlib import Path
from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import MedQLoRAError
from medqlora.models import four_bit_copy
from medqlora.models.loader import QuantizedModelLoader
from medqlora.models.memory_forecast import typical_shape
from medqlora.models.model_files import ModelFiles
place, changes, wants_folder = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
config = QLoRAConfig(**changes)
try:
    expected = four_bit_copy.expected_download(config, typical_shape(1.24))
    chosen = ModelFiles(models_dir=place).choose_weights(config)
    said = {"weights": chosen.config.base_weights, "reason": chosen.reason,
            "is_fallback": chosen.is_fallback, "gib": expected.gib, "expected": expected.message}
    if wants_folder:
        said["folder"] = QuantizedModelLoader(models_dir=place).find(chosen.config)
except MedQLoRAError as error:
    said = {"error": error.message, "hint": error.hint}
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def copy(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the tiny model's copy, as its publishers make them."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    folder = tmp_path_factory.mktemp("copy")
    stored = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = AutoModelForCausalLM.from_pretrained(
        tiny_model, dtype=torch.bfloat16, quantization_config=stored
    )
    model.save_pretrained(folder)
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    return {**files, "chat_template.jinja": b"{{ 'another' }}", "tokenizer.json": b"{}"}


def chosen(
    hub: ModelHub | None, tmp_path: Path, *, fetch: bool = False, **changes: Any
) -> dict[str, Any]:
    given = json.dumps({"model_name": LISTED, **changes})
    said = output_of(
        CHOOSE,
        str(tmp_path / "models"),
        given,
        "yes" if fetch else "",
        endpoint=hub.endpoint if hub else NOBODY,
        home=tmp_path / "home",
    )
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def test_the_copy_is_fetched_with_the_models_own_tokenizer_and_nothing_twice(
    tiny_model: Path, copy: dict[str, bytes], tmp_path: Path
) -> None:
    with model_hub(tiny_model) as hub:
        hub.add_copy(copy)
        said = chosen(hub, tmp_path, fetch=True)
        assert said["weights"] == f"{LISTED_COPY}@{COMMIT}"
        assert LISTED_COPY in said["reason"]
        assert said["gib"] == pytest.approx(1.0, abs=0.1)
        assert f"the 4-bit copy {LISTED_COPY}" in said["expected"]
        assert hub.weights == [f"{LISTED_COPY}/model.safetensors"]
        folder = Path(said["folder"])
        for own in ("chat_template.jinja", "tokenizer.json"):
            assert (folder / own).read_bytes() == (tiny_model / own).read_bytes()
        about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        assert about.pop("quantization_config")["bnb_4bit_quant_type"] == "nf4"
        assert about == json.loads((tiny_model / "config.json").read_text(encoding="utf-8"))

    again = chosen(None, tmp_path, fetch=True)  # nobody answers any more
    assert (again["weights"], again["folder"]) == (said["weights"], said["folder"])
    assert again["gib"] == 0
    assert "on this machine" in again["expected"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantization": "none"}, "other settings"),
        ({"quantization": "fp4"}, "other settings"),
        ({"double_quantization": False}, "other settings"),
        ({"num_processes": 2}, "shared out"),
    ],
)
def test_settings_that_a_copy_does_not_have_take_the_16_bit_weights(
    changes: dict[str, Any], reason: str, tiny_model: Path, copy: dict[str, bytes], tmp_path: Path
) -> None:
    with model_hub(tiny_model) as hub:
        hub.add_copy(copy)
        said = chosen(hub, tmp_path, **changes)
    assert said["weights"] == "own"
    assert reason in said["reason"]
    assert not said["is_fallback"]
    assert said["gib"] == pytest.approx(2.34, abs=0.1)


def test_16_bit_weights_that_are_here_are_used(
    tiny_model: Path, copy: dict[str, bytes], tmp_path: Path
) -> None:
    with model_hub(tiny_model) as hub:
        hub.add_copy(copy)
        first = chosen(hub, tmp_path, fetch=True, base_weights="own")
        assert Path(first["folder"]).name == COMMIT
        said = chosen(hub, tmp_path, fetch=True)
        assert said["weights"] == "own"
        assert "on this machine already" in said["reason"]
        assert (said["gib"], said["expected"]) == (0, "Its weights are on this machine.")
        assert hub.weights == [f"{LISTED}/model.safetensors"]


def test_a_copy_that_is_missing_or_another_is_told_and_not_used(
    tiny_model: Path, copy: dict[str, bytes], tmp_path: Path
) -> None:
    about = json.loads(copy["config.json"])
    stored = about["quantization_config"]
    others = {
        "There is no model called": None,
        "is not stored as nf4": {**about, "quantization_config": {**stored, "load_in_4bit": False}},
        "in 16 bits": {
            **about,
            "quantization_config": {**stored, "llm_int8_skip_modules": ["model.layers.1.mlp"]},
        },
        "is of another model": {**about, "num_hidden_layers": 3},
    }
    for problem, config in others.items():
        with model_hub(tiny_model) as hub:
            if config:
                hub.add_copy({**copy, "config.json": json.dumps(config).encode()})
            said = chosen(hub, tmp_path / problem.replace(" ", "-"))
        assert said["weights"] == "own"
        assert said["is_fallback"]
        assert problem in said["reason"]
        assert "three times the download" in said["reason"]


def test_configure_and_forecast_say_what_will_be_fetched(tmp_path: Path) -> None:
    code = """
import json, sys
from pathlib import Path
from medqlora.__main__ import main
from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.services import Services
from ui.configure_tab import Handlers
services = Services.open(Path(sys.argv[1]))
page = Handlers(services, None)
said = [page._summary(QLoRAConfig(name), "") for name in (sys.argv[2], EMBEDDED_MODEL)]
print(json.dumps({"page": said}))
sys.exit(main(["forecast", "--model", sys.argv[2], "--gpu", "T4", "--json", "--workspace",
               sys.argv[1]]))
"""
    said = output_of(code, str(tmp_path), LISTED, endpoint=NOBODY, home=tmp_path / "home")
    page, _, forecast = said.partition("\n")
    expected = f"Training fetches about 1.0 GiB, the 4-bit copy {LISTED_COPY}; the 16-bit weights"
    listed, embedded = json.loads(page)["page"]
    assert expected in listed
    assert "fetches" not in embedded
    download = json.loads(forecast)["download"]
    assert expected in download["message"]
    assert download["gib"] == pytest.approx(1.0, abs=0.1)


def test_a_copy_that_a_settings_file_names_must_be_of_the_model(
    tiny_model: Path, copy: dict[str, bytes], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="base_weights must be"):
        QLoRAConfig(LISTED, base_weights="somewhere/else")
    about = {**json.loads(copy["config.json"]), "hidden_size": 128}
    with model_hub(tiny_model) as hub:
        hub.add_copy({**copy, "config.json": json.dumps(about).encode()})
        named = f"{LISTED_COPY}@{COMMIT}"
        said = chosen(hub, tmp_path, fetch=True, base_weights=named)
        assert "is of another model" in said["error"]
        assert "own" in said["hint"]
        assert hub.weights == []


def test_trained_on_a_copy_the_model_is_what_it_is_quantised_here(
    tiny_model: Path, copy: dict[str, bytes], tmp_path: Path
) -> None:
    import torch

    from medqlora.models.four_bit_copy import FourBitCopy
    from medqlora.models.transformers_engine import TransformersEngine

    fetched = tmp_path / "fetched"
    fetched.mkdir()
    for name, content in copy.items():
        (fetched / name).write_bytes(content)
    given = FourBitCopy(name=LISTED_COPY, revision=COMMIT)
    joined = given.joined(fetched, own=tiny_model, folder=tmp_path / "copies")
    before = joined.stat()
    assert given.joined(fetched, own=tiny_model, folder=tmp_path / "copies") == joined
    assert joined.stat() == before  # left alone
    (joined / "tokenizer.json").unlink()  # the hub's cache was emptied meanwhile
    given.joined(fetched, own=tiny_model, folder=tmp_path / "copies")
    assert (joined / "tokenizer.json").is_file()
    ids = torch.arange(40).reshape(2, 20)
    for dtype in ("float32", "bfloat16", "float16"):
        config = QLoRAConfig(LISTED, compute_dtype=dtype)
        own, ready = (
            TransformersEngine().load_base(str(folder), config).model
            for folder in (tiny_model, joined)
        )
        layer = ready.model.layers[0].mlp.up_proj
        assert layer.compute_dtype is layer.weight.quant_state.dtype is getattr(torch, dtype)
        mine, theirs = own.state_dict(), ready.state_dict()
        assert mine.keys() == theirs.keys()
        for name, values in mine.items():
            if not name.endswith("quant_state.bitsandbytes__nf4"):  # says the number format
                assert torch.equal(values, theirs[name]), name
        with torch.no_grad():
            assert torch.equal(own(ids).logits, ready(ids).logits)

"""An adapter merged into its base model's weights gives what PEFT gives, and half a model never."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL
from medqlora.errors import ModelError, PersistenceError
from medqlora.models.merging import merge
from medqlora.models.model_files import silent

PEFT_CONFIG = {
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj", "v_proj", "down_proj"],
    "task_type": "CAUSAL_LM",
}


def plain(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)


def make_adapter(base: Path, folder: Path, **settings: Any) -> Any:
    """Saves an adapter that says something, and returns PEFT's own model with it."""
    import torch
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(plain(base), LoraConfig(**{**PEFT_CONFIG, **settings}))
    torch.manual_seed(1)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.2)
    model.save_pretrained(str(folder))
    file = folder / "adapter_config.json"
    about = json.loads(file.read_text(encoding="utf-8"))
    about["base_model_name_or_path"] = EMBEDDED_MODEL
    file.write_text(json.dumps(about), encoding="utf-8")
    return model


@pytest.fixture
def in_two_files(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model as large ones come: in several files with an index."""
    folder = tmp_path / "base"
    shutil.copytree(tiny_model, folder)
    (folder / "model.safetensors").unlink()
    plain(tiny_model).save_pretrained(folder, max_shard_size="150KB")
    assert len(list(folder.glob("*.safetensors"))) >= 2
    return folder


@pytest.mark.parametrize("use_rslora", [False, True])
def test_the_merged_weights_are_those_that_peft_makes(
    in_two_files: Path, tmp_path: Path, use_rslora: bool
) -> None:
    import torch
    from transformers import AutoTokenizer

    theirs = make_adapter(in_two_files, tmp_path / "adapter", use_rslora=use_rslora)
    (tmp_path / "adapter" / "README.md").write_text("what it is", encoding="utf-8")
    phases: list[str] = []
    made = merge(
        tmp_path / "adapter",
        in_two_files,
        tmp_path / "out" / "merged",
        on_progress=lambda phase, _: phases.append(phase),
    )
    ours = plain(made.path).state_dict()
    before = plain(in_two_files).state_dict()
    expected = theirs.merge_and_unload().state_dict()
    assert set(ours) == set(expected)
    changed = [name for name in ours if not torch.equal(ours[name], before[name])]
    assert made.num_layers == len(changed) == 2 * 3
    for name, weights in expected.items():
        # PEFT rounds what is added to bfloat16 first; that is two of its last digits at most.
        assert torch.allclose(ours[name].float(), weights.float(), rtol=2**-7, atol=2**-9), name
    assert len(phases) == len(list(in_two_files.glob("*.safetensors")))
    assert AutoTokenizer.from_pretrained(made.path).chat_template
    assert (made.path / "README.md").read_text(encoding="utf-8") == "what it is"
    assert made.size_bytes == sum(file.stat().st_size for file in made.path.iterdir())


def refusals(base: Path, adapter: Path) -> dict[str, Any]:
    def in_4_bits() -> None:
        about = json.loads((base / "config.json").read_text(encoding="utf-8"))
        about["quantization_config"] = {"load_in_4bit": True}
        (base / "config.json").write_text(json.dumps(about), encoding="utf-8")

    def no_weights() -> None:
        for file in base.glob("*.safetensors"):
            file.rename(file.with_suffix(".bin"))

    def damaged() -> None:
        file = max(base.glob("*.safetensors"))
        file.write_bytes(file.read_bytes()[:-100])

    def another_shape() -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(adapter / "adapter_model.safetensors")
        [name, *_] = [one for one in weights if "lora_B" in one]
        save_file({**weights, name: weights[name][:-1]}, adapter / "adapter_model.safetensors")

    def another_layer() -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(adapter / "adapter_model.safetensors")
        moved = {name.replace("layers.1", "layers.7"): one for name, one in weights.items()}
        save_file(moved, adapter / "adapter_model.safetensors")

    def too_large() -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(adapter / "adapter_model.safetensors")
        huge = {name: one * 1e30 if "lora_B" in name else one for name, one in weights.items()}
        huge = {name: one * 1e20 if "lora_A" in name else one for name, one in huge.items()}
        save_file(huge, adapter / "adapter_model.safetensors")

    return {
        "4 bits": (in_4_bits, "own weights in 16 bits"),
        "no safetensors": (no_weights, "own weights in 16 bits"),
        "damaged": (damaged, "is damaged"),
        "another shape": (another_shape, "not those of this base model"),
        "another layer": (another_layer, "not those of this base model"),
        "too large": (too_large, "larger than the base model's number format"),
    }


@pytest.mark.parametrize(
    "case", ["4 bits", "no safetensors", "damaged", "another shape", "another layer", "too large"]
)
def test_what_cannot_be_merged_is_a_sentence_and_leaves_nothing(
    in_two_files: Path, tmp_path: Path, case: str
) -> None:
    adapter, out = tmp_path / "adapter", tmp_path / "out"
    make_adapter(in_two_files, adapter)
    spoil, sentence = refusals(in_two_files, adapter)[case]
    spoil()
    with pytest.raises(ModelError, match=sentence) as caught:
        merge(adapter, in_two_files, out / "merged", on_progress=silent)
    assert caught.value.hint
    assert not out.exists() or list(out.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(in_two_files: Path, tmp_path: Path) -> None:
    make_adapter(in_two_files, tmp_path / "adapter")
    (tmp_path / "kept").mkdir()
    with pytest.raises(PersistenceError, match="there already"):
        merge(tmp_path / "adapter", in_two_files, tmp_path / "kept", on_progress=silent)
    assert list((tmp_path / "kept").iterdir()) == []

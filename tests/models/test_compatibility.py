"""What cannot work is said before anything is loaded, with the next step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.resources import GPUInfo
from medqlora.errors import ModelError, PersistenceError
from medqlora.models.compatibility import ModelCompatibilityChecker
from medqlora.models.loader import QuantizedModelLoader
from medqlora.models.memory_forecast import forecast, shape_of

LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
T4 = GPUInfo(name="Tesla T4", total_gib=14.56, compute_capability=(7, 5))
ROOMY = ModelCompatibilityChecker(available_ram_gib=64)


def copy_of(tiny_model: Path, folder: Path, **changes: object) -> Path:
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**about, **changes}), encoding="utf-8")
    return folder


def adapter_of(folder: Path, base: str) -> str:
    folder.mkdir()
    about = {"peft_type": "LORA", "base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(about), encoding="utf-8")
    return str(folder)


def test_the_size_is_read_from_the_configuration() -> None:
    shape = shape_of(LLAMA_8B)
    assert shape is not None
    assert shape.billion_parameters == pytest.approx(8.03, abs=0.02)


def test_a_larger_batch_and_a_longer_entry_need_more_memory() -> None:
    shape = shape_of(LLAMA_8B)
    assert shape is not None
    config = QLoRAConfig(EMBEDDED_MODEL, gradient_checkpointing=True)
    usual = forecast(shape, config)
    assert 5 < usual.total_gib < 15
    assert forecast(shape, config.changed(max_seq_length=2048)).total_gib > usual.total_gib
    assert forecast(shape, config.changed(per_device_train_batch_size=8)).weights_gib == (
        usual.weights_gib
    )


def test_an_eight_billion_model_fits_a_t4_and_not_a_small_machine() -> None:
    config = QLoRAConfig(EMBEDDED_MODEL, gradient_checkpointing=True)
    on_card = ModelCompatibilityChecker(gpu=T4, available_ram_gib=11)
    assert on_card.check(LLAMA_8B, config=config).is_compatible
    small = ModelCompatibilityChecker(available_ram_gib=4).check(LLAMA_8B, config=config)
    assert not small.is_compatible
    assert "GiB" in small.problems[0]
    assert small.alternatives == (EMBEDDED_MODEL,)
    with pytest.raises(ModelError, match=EMBEDDED_MODEL):
        small.require()


def test_ram_too_small_to_load_through_is_told_on_a_machine_with_a_card() -> None:
    report = ModelCompatibilityChecker(gpu=T4, available_ram_gib=2).check(
        LLAMA_8B, config=QLoRAConfig(EMBEDDED_MODEL, gradient_checkpointing=True)
    )
    assert "of RAM" in report.problems[0]


def test_a_name_of_the_catalogue_is_judged_before_it_is_fetched() -> None:
    report = ModelCompatibilityChecker(available_ram_gib=4).check(
        "unsloth/Meta-Llama-3.1-8B-Instruct"
    )
    assert not report.is_compatible
    assert ROOMY.check("somebody/unknown").is_compatible


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "T5ForConditionalGeneration"])
def test_a_model_that_does_not_continue_text_is_refused(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = copy_of(tiny_model, tmp_path / "other", architectures=[kind])
    report = ROOMY.check(folder)
    assert "cannot answer questions" in report.problems[0]
    assert EMBEDDED_MODEL in report.alternatives


def test_a_model_without_a_chat_template_is_refused_before_it_is_loaded(
    tiny_model: Path, tmp_path: Path
) -> None:
    assert ROOMY.check(tiny_model).is_compatible
    folder = copy_of(tiny_model, tmp_path / "plain")
    (folder / "chat_template.jinja").unlink()
    report = ROOMY.check(folder)
    assert not report.is_compatible
    assert "chat template" in report.problems[0]
    assert EMBEDDED_MODEL in report.alternatives


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        ROOMY.check(tmp_path)


def test_an_adapter_of_another_base_is_told_with_the_base_it_needs(tmp_path: Path) -> None:
    adapter = adapter_of(tmp_path / "adapter", "unsloth/Llama-3.2-1B-Instruct")
    assert ROOMY.verify_compatibility(adapter, "unsloth/Llama-3.2-1B-Instruct")
    assert not ROOMY.verify_compatibility(adapter, EMBEDDED_MODEL)
    report = ROOMY.compatibility_report(adapter, EMBEDDED_MODEL)
    assert report.alternatives == ("unsloth/Llama-3.2-1B-Instruct",)
    with pytest.raises(ModelError, match="was trained on unsloth"):
        QuantizedModelLoader(models_dir=tmp_path).load(
            QLoRAConfig(EMBEDDED_MODEL), adapter_path=adapter
        )


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PersistenceError, match="no adapter"):
        ROOMY.verify_compatibility(str(tmp_path), EMBEDDED_MODEL)

"""Of a model that also reads pictures the language part is trained, and the rest is left as it is.

A small Gemma 3 with real layers of every kind; what others load is plain transformers and PEFT.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.generation import GenerationSettings
from medqlora.domain.resources import GPUInfo
from medqlora.errors import ModelError
from medqlora.models.catalog import CATALOG, entry_for
from medqlora.models.compatibility import ModelCompatibilityChecker
from medqlora.models.compute_dtype import REASON, choose_compute_dtype
from medqlora.models.engine import BASE_ADAPTER
from medqlora.models.engine_choice import TrainingMachine, obstacle
from medqlora.models.four_bit_copy import FourBitCopy, refuse_other
from medqlora.models.generation import generate
from medqlora.models.language_part import PICTURE_ARCHITECTURES, picture_parameters, text_part
from medqlora.models.loader import QuantizedModelLoader
from medqlora.models.memory_forecast import shape_of
from medqlora.models.merging import merge
from medqlora.models.model_files import silent
from medqlora.models.outlook import CARDS, outlook
from medqlora.models.transformers_engine import TransformersEngine
from medqlora.persistence.foreign_adapter import check_weights, read_config
from medqlora.persistence.workspace import Workspace
from tests.colab.stand_ins import PYNVML, output_of

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, compute_dtype="float32")
TOWER = {"hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "patch_size": 14}
GEMMA_4B = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "text_config": {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "intermediate_size": 10_240,
        "num_hidden_layers": 34,
    },
    "vision_config": {**TOWER, "model_type": "siglip_vision_model", "num_hidden_layers": 27},
}
"""As Google published it: most sizes are left to transformers."""


def described(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found


def plain(folder: Path, **options: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        folder, **{"dtype": torch.float32, **options}
    ).eval()


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(6, 106).reshape(2, 50)).logits


@pytest.fixture(scope="module")
def adapted(tiny_picture_model: Path) -> Any:
    """The model with an adapter that says something, not quantised to compare numbers."""
    import torch

    config = CONFIG.changed(quantization="none")
    engine = TransformersEngine()
    model = engine.attach_adapter(engine.load_base(str(tiny_picture_model), config).model, config)
    torch.manual_seed(1)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.2)
    return model


@pytest.fixture(scope="module")
def adapter(adapted: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(str(folder))
    return folder


def test_only_the_language_layers_are_adapted_and_nothing_else_is_kept(adapted: Any) -> None:
    trained = [name for name, one in adapted.named_parameters() if one.requires_grad]
    assert len(trained) == 2 * 3 * 7
    assert all(".language_model.layers." in name and "lora_" in name for name in trained)
    assert not [name for name, _ in adapted.named_parameters() if "vision" in name]


@pytest.mark.parametrize("kind", ["AutoModelForCausalLM", "AutoModelForImageTextToText"])
def test_the_adapter_fits_what_plain_peft_and_transformers_load(
    kind: str, adapted: Any, adapter: Path, tiny_picture_model: Path
) -> None:
    import torch
    import transformers
    from peft import PeftModel

    whole = getattr(transformers, kind).from_pretrained(tiny_picture_model, dtype=torch.float32)
    before = logits(whole)
    theirs = PeftModel.from_pretrained(whole, str(adapter))
    lora = [name for name, _ in theirs.named_parameters() if "lora_" in name]
    assert len(lora) == 2 * 3 * 7
    assert not [name for name in lora if "vision" in name]
    assert torch.equal(logits(theirs), logits(adapted))
    assert not torch.allclose(logits(theirs), before, atol=0.1)


@pytest.mark.parametrize("has_new_names", [False, True])
def test_merged_it_is_the_whole_model_with_its_tower_untouched(
    has_new_names: bool, adapter: Path, tiny_picture_model: Path, tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file, save_file

    base = tmp_path / "base"
    shutil.copytree(tiny_picture_model, base)
    if has_new_names:
        file = base / "model.safetensors"
        weights = load_file(file)
        renamed = {
            f"model.{name.replace('language_model.model', 'language_model')}": one
            for name, one in weights.items()
        }
        save_file(renamed, file, metadata={"format": "pt"})
    made = merge(adapter, base, tmp_path / "merged", on_progress=silent)
    assert made.num_layers == 3 * 7
    dtype = torch.bfloat16
    ours = plain(made.path, dtype=dtype).state_dict()
    theirs = PeftModel.from_pretrained(plain(base, dtype=dtype), str(adapter)).merge_and_unload()
    expected = theirs.state_dict()
    assert set(ours) == set(expected)
    assert all(torch.equal(ours[name], one) for name, one in expected.items())
    untouched = plain(base, dtype=dtype).state_dict()
    changed = {name for name in ours if not torch.equal(ours[name], untouched[name])}
    assert len(changed) == 3 * 7
    assert not [name for name in changed if "vision" in name]


SKIPPED: dict[str, tuple[list[str], Sequence[str]]] = {
    "as transformers 5 names them": (
        ["lm_head", "model.vision_tower", "model.multi_modal_projector"],
        ["lm_head", "model.vision_tower", "model.multi_modal_projector"],
    ),
    "tower in 16 bits": (["lm_head", "model.vision_tower"], ["lm_head", "vision_tower"]),
    "tower in 4 bits": (["lm_head"], ["lm_head", "multi_modal_projector", "merger"]),
}
"""Modules that a copy keeps in 16 bits, and what its description says of them."""


@pytest.mark.parametrize("case", SKIPPED)
def test_a_ready_4_bit_copy_gives_what_quantising_here_gives(
    case: str, tiny_picture_model: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import BitsAndBytesConfig

    skipped, said = SKIPPED[case]
    stored = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=skipped,
    )
    made = tmp_path / "made"
    plain(tiny_picture_model, dtype=torch.bfloat16, quantization_config=stored).save_pretrained(
        made
    )
    about = described(made)
    about["quantization_config"]["llm_int8_skip_modules"] = list(said)
    (made / "config.json").write_text(json.dumps(about), encoding="utf-8")
    refuse_other(about, "owner/copy", own=described(tiny_picture_model))
    copy = FourBitCopy(name="owner/copy", revision="0" * 40)
    joined = copy.joined(made, own=tiny_picture_model, folder=tmp_path / "copies")
    engine = TransformersEngine()
    ready, own = (
        logits(engine.load_base(str(folder), CONFIG).model)
        for folder in (joined, tiny_picture_model)
    )
    assert torch.equal(ready, own)


def test_a_copy_that_keeps_language_layers_in_16_bits_is_told_from_one_that_keeps_its_tower(
    tiny_picture_model: Path,
) -> None:
    own = described(tiny_picture_model)
    stored = {
        "quant_method": "bitsandbytes",
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_quant_storage": "uint8",
    }

    def copy(*skipped: str) -> dict[str, Any]:
        return {**own, "quantization_config": {**stored, "llm_int8_skip_modules": skipped}}

    refuse_other(copy("vision_tower.vision_model.encoder.layers.3.mlp"), "owner/copy", own=own)
    with pytest.raises(ModelError, match="keeps some of its layers"):
        refuse_other(copy("language_model.model.layers.3.mlp"), "owner/copy", own=own)


def test_the_size_is_known_of_a_description_that_leaves_most_of_it_out() -> None:
    assert shape_of(GEMMA_4B) == entry_for("unsloth/medgemma-4b-it").shape  # type: ignore[union-attr]
    without_tower = {**GEMMA_4B, "vision_config": {}}
    assert shape_of(without_tower) is None


def test_what_descriptions_leave_out_is_what_transformers_takes() -> None:
    from transformers import Gemma3TextConfig

    left_out = text_part({"model_type": "gemma3_text"})
    defaults = Gemma3TextConfig().to_dict()
    assert {name: defaults[name] for name in left_out} == dict(left_out)


@pytest.mark.parametrize("name", ["unsloth/gemma-3-4b-it", "unsloth/gemma-3-12b-it"])
def test_every_weight_that_reads_pictures_is_counted(name: str) -> None:
    import torch
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    shape = entry_for(name).shape  # type: ignore[union-attr]
    text = {
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.inner_size,
        "num_hidden_layers": 1,
    }
    tower = {**TOWER, "num_hidden_layers": 27, "num_attention_heads": 16, "vision_use_head": False}
    tower["model_type"] = "siglip_vision_model"
    with torch.device("meta"):
        model = Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=tower))
    counted = sum(
        one.numel()
        for place, one in model.named_parameters()
        if not place.startswith(("model.language_model.", "lm_head."))
    )
    about = {"model_type": "gemma3", "text_config": text, "vision_config": tower}
    assert counted == picture_parameters(about) == shape.picture_parameters


def test_the_checker_takes_gemma_and_says_why_not_the_others(tiny_picture_model: Path) -> None:
    checker = ModelCompatibilityChecker(available_ram_gib=64)
    assert checker.check(tiny_picture_model, name="someone/pictures").is_compatible
    assert checker.check(GEMMA_4B).is_compatible
    sentences = {
        "Qwen2_5_VLForConditionalGeneration": "also reads pictures",
        "Mistral3ForConditionalGeneration": "also reads pictures",
        "MllamaForConditionalGeneration": "also reads pictures",
    }
    for architecture, sentence in sentences.items():
        about = {**GEMMA_4B, "architectures": [architecture], "model_type": "other"}
        report = checker.check({**about, "_name_or_path": "someone/other"})
        assert not report.is_anywhere
        assert sentence in report.problems[0]
        assert "only Gemma 3" in report.problems[0]
    for architecture in ("SiglipVisionModel", "WhisperForConditionalGeneration", "BertModel"):
        report = checker.check({"architectures": [architecture], "_name_or_path": "someone/other"})
        assert "does not continue text" in report.problems[0]


def test_the_classes_are_those_that_transformers_takes_for_text() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    for entry in CATALOG:
        if entry.model_type == "gemma3":
            assert MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[entry.model_type] in PICTURE_ARCHITECTURES


def test_unsloth_is_not_taken_for_it_even_when_the_settings_ask() -> None:
    machine = TrainingMachine(has_unsloth=True, capability=(9, 0))
    for engine in ("auto", "unsloth"):
        asked = CONFIG.changed(engine=engine, compute_dtype="bfloat16")
        assert "reads pictures" in str(obstacle(asked, machine, model_type="gemma3"))


@pytest.mark.parametrize("model_type", ["gemma3", "gemma3_text"])
def test_gemma_is_never_computed_in_float16(model_type: str) -> None:
    t4, l4 = CARDS["T4"], CARDS["L4"]
    auto = QLoRAConfig(EMBEDDED_MODEL)
    for config, gpu, expected in (
        (auto, t4, "float32"),
        (auto.changed(compute_dtype="float16"), l4, "float32"),
        (auto, l4, "auto"),
        (auto.changed(compute_dtype="bfloat16"), t4, "bfloat16"),
    ):
        found = choose_compute_dtype(config, model_type=model_type, gpu=gpu)
        assert found.config.compute_dtype == expected
        assert found.reason == (REASON if expected == "float32" else "")
    llama = choose_compute_dtype(auto, model_type="llama", gpu=t4)
    assert llama.config == auto


def test_settings_that_say_float16_are_not_loaded_in_it(
    tiny_picture_model: Path, workspace: Workspace
) -> None:
    import torch

    shutil.copytree(tiny_picture_model, workspace.models / "someone" / "pictures")
    config = QLoRAConfig("someone/pictures", compute_dtype="float16")
    loaded = QuantizedModelLoader(models_dir=workspace.models).load(config)
    kinds = {one.dtype for one in loaded.model.parameters() if one.is_floating_point()}
    assert kinds == {torch.float32}
    assert torch.isfinite(logits(loaded.model)).all()


SUGGESTED = """
import json, os
from pathlib import Path
from medqlora.persistence.workspace import Workspace
from medqlora.services.configuration import ConfigurationService
service = ConfigurationService(Workspace.open(Path(os.environ['WORKSPACE'])))
found = service.defaults("unsloth/medgemma-4b-it")
print(json.dumps({
    "dtype": found.config.compute_dtype,
    "reasons": [one.reason for one in found.choices if one.name == "compute_dtype"],
    "problems": service.compatibility("unsloth/medgemma-4b-it", found.config).problems,
    "verdict": service.memory(found.config).verdict,
    "download": service.download(found.config).message,
    "smallest": service.smallest_card("unsloth/medgemma-4b-it"),
}))
"""


def test_configure_suggests_float32_on_a_t4_and_says_why(tmp_path: Path) -> None:
    place = {"WORKSPACE": str(tmp_path), "STAND_IN_GPU": "T4", "HF_HOME": str(tmp_path)}
    said = json.loads(output_of(SUGGESTED, PYNVML, **place))
    assert said["dtype"] == "float32"
    assert said["reasons"][-1] == REASON
    assert said["problems"] == []
    assert said["verdict"] == "fits"
    assert "medgemma-4b-it-bnb-4bit" in said["download"]
    assert said["smallest"] == "T4"


def test_the_forecast_for_a_card_without_bfloat16_counts_float32() -> None:
    entry = entry_for("unsloth/medgemma-4b-it")
    assert entry is not None
    old = GPUInfo(name="Old", total_gib=24.0, compute_capability=(7, 5))
    new = GPUInfo(name="New", total_gib=24.0, compute_capability=(8, 6))
    roomy = QLoRAConfig(EMBEDDED_MODEL).changed(gradient_checkpointing=True)
    in_float32, in_16_bits = (
        outlook(entry.shape, roomy, gpu=gpu, ram_gib=10, model_type=entry.model_type).forecast
        for gpu in (old, new)
    )
    assert in_float32.activations_gib > 1.2 * in_16_bits.activations_gib


def test_an_answer_ends_where_the_turn_ends(tiny_picture_model: Path) -> None:
    import torch

    loaded = TransformersEngine().load_base(str(tiny_picture_model), CONFIG)
    end = loaded.tokenizer.convert_tokens_to_ids("<end_of_turn>")
    assert end != loaded.tokenizer.eos_token_id
    says_it = torch.nn.Linear(64, len(loaded.tokenizer))
    torch.nn.init.zeros_(says_it.weight)
    with torch.no_grad():
        says_it.bias[end] = 100
    loaded.model.lm_head = says_it
    [answer] = generate(
        loaded.model,
        loaded.tokenizer,
        [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Fever?"}]],
        adapters=[BASE_ADAPTER],
        settings=GenerationSettings(max_new_tokens=5),
    )
    assert answer.is_complete
    assert (answer.num_tokens, answer.text) == (0, "")


def test_an_adapter_from_elsewhere_is_checked_by_the_names_of_this_kind_of_model(
    adapter: Path, tiny_picture_model: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    base = described(tiny_picture_model)
    file = adapter / "adapter_model.safetensors"
    read = read_config(adapter / "adapter_config.json")
    check_weights(file, read, base)
    assert "exclude_modules" in read.to_peft("someone/pictures", base)
    assert "exclude_modules" not in read.to_peft("someone/text", base["text_config"])
    weights = load_file(file)
    with_tower = {**weights}
    for name, one in weights.items():
        moved = name.replace("language_model.layers.0", "vision_tower.encoder.layers.0")
        with_tower[moved] = one.clone()
    as_text = {name.replace("language_model.", ""): one for name, one in weights.items()}
    for wrong in (with_tower, as_text):
        save_file(wrong, tmp_path / "wrong.safetensors")
        with pytest.raises(ModelError, match="not those of the base model"):
            check_weights(tmp_path / "wrong.safetensors", read, base)


def test_a_pattern_from_elsewhere_is_refused(adapter: Path, tmp_path: Path) -> None:
    about = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps({**about, "exclude_modules": "(a+)+$"}), encoding="utf-8")
    with pytest.raises(ModelError, match="exclude_modules"):
        read_config(file)

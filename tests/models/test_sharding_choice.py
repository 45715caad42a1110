"""Whether a model is shared out over the GPUs, for machines that are not here."""

from __future__ import annotations

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.resources import GPUInfo
from medqlora.errors import ConfigError, ModelError
from medqlora.models.compatibility import ModelCompatibilityChecker
from medqlora.models.engine_choice import TrainingMachine, asking_engine, choose_engine
from medqlora.models.loader import QuantizedModelLoader
from medqlora.models.memory_forecast import forecast, shape_of, typical_shape
from medqlora.models.outlook import outlook
from medqlora.models.sharding_choice import choose_sharding
from medqlora.persistence.workspace import Workspace
from tests.benchmarks.shapes import SHAPES

TWO = QLoRAConfig(EMBEDDED_MODEL, num_processes=2, optim="adamw_8bit")
TWO_L4 = GPUInfo(name="NVIDIA L4", total_gib=22.16, compute_capability=(8, 9), count=2)
LLAMA_33B = typical_shape(33.0)
LLAMA_8B = typical_shape(8.03)


def test_a_model_larger_than_a_card_is_sharded_and_the_reason_has_both_sizes() -> None:
    found = choose_sharding(TWO, LLAMA_33B, gpu=TWO_L4, engine="transformers")
    assert found.config.is_sharded
    assert "sharded over 2 cards" in found.reason
    assert "NVIDIA L4 has 22.2 GiB" in found.reason


@pytest.mark.parametrize(
    ("changes", "shape", "gpu"),
    [
        ({}, LLAMA_8B, TWO_L4),
        ({"shard_weights": "no"}, LLAMA_33B, TWO_L4),
        ({"num_processes": 1}, LLAMA_33B, TWO_L4),
        ({}, LLAMA_33B, None),
        ({}, None, TWO_L4),
    ],
)
def test_a_model_is_left_whole_where_it_fits_or_nothing_is_known(changes, shape, gpu) -> None:
    found = choose_sharding(TWO.changed(**changes), shape, gpu=gpu, engine="transformers")
    assert found.config.shard_weights == "no"
    assert not found.reason


def test_what_the_settings_ask_for_is_done_without_a_gpu_too() -> None:
    found = choose_sharding(TWO.changed(shard_weights="yes"), LLAMA_8B, gpu=None)
    assert found.config.is_sharded
    assert found.reason == "The model is sharded over 2 processes: the settings ask for it."


def test_one_process_has_nobody_to_share_with() -> None:
    with pytest.raises(ConfigError, match="needs num_processes 2 or more"):
        QLoRAConfig(EMBEDDED_MODEL, shard_weights="yes")


def test_a_model_that_was_sharded_is_loaded_whole_to_be_asked(tiny_workspace: Workspace) -> None:
    loader = QuantizedModelLoader(models_dir=tiny_workspace.models)
    sharded = TWO.changed(shard_weights="yes")
    stored = [
        loader.load(sharded, engine=asking_engine(), will_be_sharded=will_be).model.get_submodule(
            "model.layers.0.mlp.up_proj"
        )
        for will_be in (False, True)
    ]
    assert [str(one.weight.dtype) for one in stored] == ["torch.uint8", "torch.float32"]


def test_unsloth_is_refused_with_the_reason() -> None:
    machine = TrainingMachine(has_unsloth=True, capability=(8, 9))
    sharded = TWO.changed(shard_weights="yes")
    chosen = choose_engine(sharded, model_type="llama", machine=machine)
    assert chosen.engine.name == "transformers"
    assert "keeps the whole model on every GPU" in chosen.reason
    with pytest.raises(ModelError, match=r"Unsloth cannot train this: .* whole model on every GPU"):
        choose_engine(sharded.changed(engine="unsloth"), model_type="llama", machine=machine)


def test_more_cards_hold_less_each() -> None:
    shape = shape_of(SHAPES["llama-14b"])
    assert shape is not None
    whole, two, four = (
        forecast(shape, config, engine="transformers").weights_gib
        for config in (
            TWO.changed(shard_weights="no"),
            TWO.changed(shard_weights="yes"),
            TWO.changed(shard_weights="yes", num_processes=4),
        )
    )
    assert four < two < whole
    embeddings = 4 * shape.embedding_parameters / 2**30
    assert two - embeddings == pytest.approx((whole - embeddings) * (1 / 2 + 2 / 40), rel=0.02)


def test_what_fits_only_on_several_cards_is_said_before_it_is_fetched() -> None:
    checker = ModelCompatibilityChecker(gpu=TWO_L4, available_ram_gib=64)
    model = {
        **SHAPES["llama-14b"],
        "num_hidden_layers": 110,
        "architectures": ["LlamaForCausalLM"],
    }
    assert checker.check(model, config=TWO).is_compatible
    alone = checker.check(model, config=TWO.changed(num_processes=1))
    assert not alone.is_compatible
    assert "Sharded over its 2 GPUs (num_processes) it would fit." in alone.problems[0]
    no_ram = ModelCompatibilityChecker(gpu=TWO_L4, available_ram_gib=10)
    assert "of RAM" in no_ram.check(model, config=TWO).problems[0]


def test_the_outlook_says_what_each_card_takes() -> None:
    found = outlook(LLAMA_33B, TWO.changed(gradient_checkpointing=True), gpu=TWO_L4, ram_gib=64)
    assert found.engine == "transformers"
    assert "sharded over 2 cards" in found.message
    assert "Memory on each: about" in found.message

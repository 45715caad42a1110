"""The transformers engine with real 4-bit weights: gradients flow, adapters are exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.generation import GenerationSettings
from medqlora.errors import EvaluationError, ModelError
from medqlora.models.engine import BASE_ADAPTER, TUNED_ADAPTER, LoadedModel
from medqlora.models.generation import generate
from medqlora.models.loader import engine_for
from medqlora.models.model_files import ModelFiles

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8)
QUESTION = [{"role": "user", "content": "What is fever?"}]


@pytest.fixture
def loaded(tiny_model: Path) -> LoadedModel:
    return engine_for(CONFIG).load_base(str(tiny_model), CONFIG)


def gradients(model: Any) -> dict[str, Any]:
    import torch

    model.train()
    model.zero_grad()
    ids = torch.arange(40).reshape(2, 20)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(input_ids=ids, labels=ids).loss.backward()
    return {
        name: weights.grad.clone()
        for name, weights in model.named_parameters()
        if weights.grad is not None
    }


def test_the_base_is_stored_in_four_bits(loaded: LoadedModel) -> None:
    from bitsandbytes.nn import Linear4bit

    layers = [module for module in loaded.model.modules() if isinstance(module, Linear4bit)]
    assert len(layers) == 14


def test_an_evaluation_in_between_does_not_stop_the_gradients(loaded: LoadedModel) -> None:
    import torch

    model = engine_for(CONFIG).attach_adapter(loaded.model, CONFIG)
    before = gradients(model)
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        model(input_ids=torch.arange(20).reshape(1, 20))
    after = gradients(model)
    assert before
    for name, gradient in before.items():
        assert torch.equal(gradient, after[name]), name
    first_layer = [name for name in after if ".layers.0." in name and "lora_B" in name]
    assert all(after[name].abs().sum() > 0 for name in first_layer)


def test_the_same_seed_gives_the_same_adapter(tiny_model: Path) -> None:
    import torch

    def fresh(seed: int) -> list[Any]:
        config = CONFIG.changed(seed=seed)
        engine = engine_for(config)
        model = engine.attach_adapter(engine.load_base(str(tiny_model), config).model, config)
        return [weights for weights in model.parameters() if weights.requires_grad]

    first, again, other = fresh(1), fresh(1), fresh(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_base_and_tuned_in_one_batch_are_each_what_they_are_alone(loaded: LoadedModel) -> None:
    import torch

    model = engine_for(CONFIG).attach_adapter(loaded.model, CONFIG)
    torch.manual_seed(1)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.2)
    settings = GenerationSettings(max_new_tokens=12)

    def ask(*adapters: str) -> list[str]:
        answers = generate(
            model,
            loaded.tokenizer,
            [QUESTION] * len(adapters),
            adapters=adapters,
            settings=settings,
        )
        return [answer.text for answer in answers]

    together = ask(BASE_ADAPTER, TUNED_ADAPTER)
    assert together == ask(BASE_ADAPTER) + ask(TUNED_ADAPTER)
    assert together[0] != together[1]


def test_answers_are_streamed_and_can_be_stopped(loaded: LoadedModel) -> None:
    seen: list[str] = []
    [answer] = generate(
        loaded.model,
        loaded.tokenizer,
        [QUESTION],
        adapters=[BASE_ADAPTER],
        settings=GenerationSettings(max_new_tokens=50),
        on_text=lambda _, text: seen.append(text),
        should_stop=lambda: len(seen) >= 5,
    )
    assert not answer.is_complete
    assert 5 <= answer.num_tokens <= 6  # the stop is seen before or after the token is handed out
    assert seen[-1] == answer.text


def test_a_question_longer_than_the_model_reads_is_refused(loaded: LoadedModel) -> None:
    with pytest.raises(EvaluationError, match="reads at most 1024"):
        generate(
            loaded.model,
            loaded.tokenizer,
            [[{"role": "user", "content": "why " * 1200}]],
            adapters=[BASE_ADAPTER],
            settings=GenerationSettings(max_new_tokens=8),
        )


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="could not be loaded"):
        engine_for(CONFIG).load_base(str(tmp_path), CONFIG)


@pytest.mark.parametrize(
    "name", ["../../etc", "http://host/model", "/abs/path", "a/b/c", "owner/", "x"]
)
def test_what_cannot_be_a_models_name_is_refused_before_anything_is_touched(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="not the name of a model"):
        ModelFiles(models_dir=tmp_path).resolve(name)
    assert list(tmp_path.iterdir()) == []

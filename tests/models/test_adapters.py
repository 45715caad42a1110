"""Adapters on one model: attached, saved, loaded beside each other, switched and described."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.errors import ModelError
from medqlora.models.adapters import AdapterManager
from medqlora.models.engine import BASE_ADAPTER, TUNED_ADAPTER
from medqlora.models.loader import engine_for

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, compute_dtype="float32")


def base(tiny_model: Path) -> Any:
    from medqlora.models.transformers_engine import keep_weights_differentiable

    model = engine_for(CONFIG).load_base(str(tiny_model), CONFIG).model
    # Repacking for the faster kernel changes the numbers a little after the first question.
    keep_weights_differentiable(model)
    return model


def logits(manager: AdapterManager) -> Any:
    import torch

    manager.model.eval()
    with torch.no_grad():
        return manager.model(input_ids=torch.arange(12).reshape(1, 12)).logits


@pytest.fixture
def saved(tiny_model: Path, tmp_path: Path) -> Path:
    """An adapter whose weights are not all zero."""
    import torch

    model = AdapterManager(base(tiny_model), CONFIG).attach()
    torch.manual_seed(1)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.2)
    folder = tmp_path / "adapter"
    model.save_pretrained(str(folder))
    about = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    about["base_model_name_or_path"] = EMBEDDED_MODEL
    (folder / "adapter_config.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def test_a_fresh_adapter_is_described_and_a_second_is_refused(tiny_model: Path) -> None:
    manager = AdapterManager(base(tiny_model), CONFIG)
    assert manager.describe() == ()
    manager.attach()
    [one] = manager.describe()
    assert (one.name, one.rank, one.alpha, one.dtype) == (TUNED_ADAPTER, 4, 8, "float32")
    assert one.num_parameters > 0
    assert one.is_active
    with pytest.raises(ModelError, match="already carries"):
        manager.attach()


def test_what_was_saved_answers_when_it_is_active_and_only_then(
    tiny_model: Path, saved: Path
) -> None:
    import torch

    manager = AdapterManager(base(tiny_model), CONFIG)
    plain = logits(manager)
    manager.load(str(saved))
    tuned = logits(manager)
    assert not torch.allclose(plain, tuned, atol=1e-2)
    manager.activate(BASE_ADAPTER)
    assert torch.allclose(plain, logits(manager), atol=1e-4)
    manager.load(str(saved), name="second")
    assert manager.names == (TUNED_ADAPTER, "second")
    manager.activate("second")
    assert torch.allclose(tuned, logits(manager), atol=1e-4)
    assert [one.is_active for one in manager.describe()] == [False, True]
    with pytest.raises(ModelError, match="already carries"):
        manager.load(str(saved), name="second")


def test_an_adapter_that_is_not_there_and_one_of_another_base_are_refused(
    tiny_model: Path, saved: Path
) -> None:
    manager = AdapterManager(base(tiny_model), CONFIG.changed(model_name="other/base"))
    with pytest.raises(ModelError, match="no adapter called tuned"):
        manager.activate("tuned")
    with pytest.raises(ModelError, match="does not fit other/base"):
        manager.load(str(saved))

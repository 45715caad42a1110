"""What sharding needs before the first process meets the second."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bitsandbytes import functional
from bitsandbytes.nn import Linear4bit

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.errors import ModelError
from medqlora.models.sharding import quantized_on
from medqlora.models.transformers_engine import TransformersEngine


def quantized(folder: Path) -> dict[str, list[torch.Tensor]]:
    """Each layer's packed weights, scales and their scales."""
    model = TransformersEngine().load_base(str(folder), QLoRAConfig(EMBEDDED_MODEL)).model
    found = {}
    for name, layer in model.named_modules():
        if isinstance(layer, Linear4bit):
            state = layer.weight.quant_state
            found[name] = [layer.weight.data, state.absmax, state.state2.absmax, state.offset]
    return found


def test_weights_that_were_quantised_elsewhere_are_those_that_were_quantised_here(tiny_model):
    here = quantized(tiny_model)
    with quantized_on(torch.device("cpu")):
        elsewhere = quantized(tiny_model)
    assert here
    assert here.keys() == elsewhere.keys()
    for name, tensors in here.items():
        for one, other in zip(tensors, elsewhere[name], strict=True):
            assert other.device.type == "cpu"
            assert torch.equal(one, other)


def test_quantising_is_as_before_where_loading_failed(tmp_path):
    original = functional.quantize_4bit
    with pytest.raises(ModelError), quantized_on(torch.device("cpu")):
        quantized(tmp_path)
    assert functional.quantize_4bit is original

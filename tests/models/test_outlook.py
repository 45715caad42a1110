"""Whether settings fit a card, and the nearest that do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.errors import ConfigError
from medqlora.models.memory_forecast import forecast, shape_of, typical_shape
from medqlora.models.outlook import CARDS, card, outlook
from tests.benchmarks.shapes import SHAPES

ROOT = Path(__file__).parents[2]
LARGE = QLoRAConfig(EMBEDDED_MODEL).changed(
    per_device_train_batch_size=8, max_seq_length=4096, optim="adamw_8bit", rank=64, alpha=128
)


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("shape_name", ["llama-1b", "llama-3b", "llama-8b", "llama-14b"])
def test_the_nearest_settings_fit(name: str, shape_name: str) -> None:
    shape = shape_of(SHAPES[shape_name])
    assert shape is not None
    found = outlook(shape, LARGE, gpu=card(name), ram_gib=10)
    if found.verdict == "fits":
        assert not found.nearest
        return
    nearest = LARGE.changed(**found.nearest)
    assert nearest.effective_batch_size == LARGE.effective_batch_size
    assert outlook(shape, nearest, gpu=card(name), ram_gib=10).verdict == "fits"
    assert "It fits with" in found.message


def test_what_costs_time_is_given_up_before_what_costs_quality() -> None:
    found = outlook(typical_shape(8.03), LARGE, gpu=card("L4"), ram_gib=10)
    assert set(found.nearest) <= {
        "gradient_checkpointing",
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
    }


@pytest.mark.parametrize(("batch", "steps"), [(3, 1), (6, 4), (12, 100), (32, 16), (5, 256)])
def test_the_nearest_settings_keep_the_entries_of_a_step(batch: int, steps: int) -> None:
    asked = LARGE.changed(per_device_train_batch_size=batch, gradient_accumulation_steps=steps)
    found = outlook(typical_shape(8.03), asked, gpu=card("T4"), ram_gib=10)
    assert found.verdict == "does not fit"
    nearest = asked.changed(**found.nearest)
    assert nearest.effective_batch_size == batch * steps
    assert outlook(typical_shape(8.03), nearest, gpu=card("T4"), ram_gib=10).verdict == "fits"


def test_an_odd_micro_batch_is_given_up_before_the_length() -> None:
    asked = LARGE.changed(per_device_train_batch_size=15, gradient_accumulation_steps=1)
    found = outlook(typical_shape(8.03), asked, gpu=card("T4"), ram_gib=10)
    assert found.nearest["per_device_train_batch_size"] in (1, 3, 5)
    assert "max_seq_length" not in found.nearest


def test_a_model_that_never_fits_says_so() -> None:
    found = outlook(typical_shape(70), LARGE, gpu=card("T4"), ram_gib=10)
    assert (found.verdict, found.nearest) == ("does not fit", {})
    assert found.message.endswith("Choose a smaller model.")


def test_the_engine_counts() -> None:
    shape, usual = typical_shape(8.03), QLoRAConfig(EMBEDDED_MODEL)
    plain = outlook(shape, usual.changed(engine="transformers"), gpu=card("T4"), ram_gib=10)
    fast = outlook(shape, usual, gpu=card("T4"), ram_gib=10)
    none = outlook(shape, usual, gpu=None, ram_gib=10)
    assert (plain.engine, fast.engine, none.engine) == ("transformers", "unsloth", "cpu")
    assert plain.forecast == forecast(shape, usual, engine="transformers")


def test_an_unknown_card_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="No card 'P4'"):
        card("P4")


def test_the_command_plans_for_a_card_that_is_not_here(tmp_path: Path) -> None:
    command = ["forecast", "--model", "unsloth/Llama-3.2-3B-Instruct", "--gpu", "t4", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "medqlora", *command, "--workspace", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    document = json.loads(done.stdout)
    assert document["place"] == "Tesla T4"
    assert document["engine"] == "unsloth"
    assert 2 < document["peak_gib"] < document["total_gib"] < 14.56

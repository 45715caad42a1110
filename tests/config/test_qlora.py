"""QLoRAConfig refuses what cannot work in one sentence, and turns into what the libraries take."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medqlora.config.presets import suited_to_card
from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.config.setting import settings_of
from medqlora.domain.resources import GPUInfo
from medqlora.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rank", 0),
        ("rank", 512),
        ("rank", 8.5),
        ("rank", "many"),
        ("rank", True),
        ("rank", None),
        ("alpha", -1),
        ("learning_rate", 0),
        ("learning_rate", -1),
        ("learning_rate", math.nan),
        ("learning_rate", 1e9),
        ("learning_rate", math.inf),
        ("num_train_epochs", 1e9),
        ("per_device_train_batch_size", 1e6),
        ("max_seq_length", 10_000_000),
        ("target_modules", []),
        ("target_modules", ["(.*)*X"]),
        ("target_modules", "(.*)*X"),
        ("optim", "sgd'); import os"),
        ("gradient_checkpointing", "yes"),
        ("model_name", ""),
        ("model_name", 7),
    ],
)
def test_a_setting_outside_its_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name) as refused:
        QLoRAConfig.from_dict({name: value})
    assert refused.value.hint
    assert len(refused.value.message) < 300


def test_a_rank_of_zero_says_the_range_and_what_suits() -> None:
    with pytest.raises(ConfigError) as refused:
        QLoRAConfig(EMBEDDED_MODEL, rank=0)
    assert refused.value.message == "rank must be a whole number between 4 and 128, got 0."
    assert refused.value.hint == "16 suits most datasets."


def test_a_misspelt_setting_names_the_nearest_one() -> None:
    with pytest.raises(ConfigError) as refused:
        QLoRAConfig.from_dict({"learning_rat": 1e-4})
    assert refused.value.hint == "Did you mean learning_rate?"


def test_numbers_from_a_form_become_the_right_type() -> None:
    config = QLoRAConfig.from_dict({"rank": 8.0, "learning_rate": "0.001", "max_steps": "5"})
    assert (config.rank, config.learning_rate, config.max_steps) == (8, 0.001, 5)
    assert isinstance(config.rank, int)


def test_a_config_survives_json() -> None:
    config = QLoRAConfig(EMBEDDED_MODEL, rank=8, alpha=8, target_modules=("q_proj", "v_proj"))
    assert QLoRAConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_every_setting_is_documented_and_numbers_have_bounds() -> None:
    config = QLoRAConfig(EMBEDDED_MODEL)
    for name, about in settings_of(QLoRAConfig).items():
        assert about.label, name
        assert about.help.endswith("."), name
        if isinstance(getattr(config, name), int | float) and not isinstance(
            getattr(config, name), bool
        ):
            assert about.minimum is not None, name
            assert about.maximum is not None, name


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


# Machines are shared: how long drawing an example takes says nothing about the code.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(list(settings_of(QLoRAConfig))), ANYTHING))
def test_whatever_is_given_is_accepted_within_bounds_or_refused_in_words(
    values: dict[str, Any],
) -> None:
    with suppress(ConfigError):
        config = QLoRAConfig.from_dict(values)
        assert 4 <= config.rank <= 128
        assert 1e-6 <= config.learning_rate <= 1e-2


@pytest.mark.parametrize(
    ("entries", "batch", "accumulation", "epochs", "steps"),
    [
        (228, 4, 1, 2.0, 114),
        (10, 4, 1, 1.0, 3),
        (10, 4, 4, 1.0, 1),
        (1, 8, 8, 0.01, 1),
        (100, 3, 2, 1.5, 26),
    ],
)
def test_steps_are_those_of_the_trainer(
    entries: int, batch: int, accumulation: int, epochs: float, steps: int
) -> None:
    config = QLoRAConfig(
        EMBEDDED_MODEL,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=epochs,
    )
    assert config.total_steps(entries) == steps


def test_the_libraries_get_what_was_set() -> None:
    config = QLoRAConfig(EMBEDDED_MODEL, rank=8, alpha=24, dropout=0.1)
    lora = config.configure_lora_params()
    assert (lora.r, lora.lora_alpha, lora.lora_dropout) == (8, 24, 0.1)
    quantization = config.configure_quantization()
    assert quantization.load_in_4bit
    assert quantization.bnb_4bit_quant_type == "nf4"


def test_a_nan_loss_is_not_laundered_by_the_trainer(tmp_path: Any) -> None:
    arguments = QLoRAConfig(EMBEDDED_MODEL).training_arguments(tmp_path, num_entries=10)
    assert arguments.logging_nan_inf_filter is False


@pytest.mark.parametrize("batch", [1, 3, 4, 7, 16])
@pytest.mark.parametrize("total_gib", [14.56, 79.1])
def test_suiting_a_card_keeps_the_effective_batch(batch: int, total_gib: float) -> None:
    config = QLoRAConfig(
        EMBEDDED_MODEL, per_device_train_batch_size=batch, gradient_accumulation_steps=3
    )
    card = GPUInfo(name="Tesla T4", total_gib=total_gib, compute_capability=(7, 5))
    suited = config.changed(**suited_to_card(config, card))
    assert suited.effective_batch_size == config.effective_batch_size
    assert suited.compute_dtype == "float16"


def test_more_processes_take_more_entries_a_step_and_fewer_steps() -> None:
    config = QLoRAConfig(
        EMBEDDED_MODEL,
        per_device_train_batch_size=3,
        gradient_accumulation_steps=2,
        num_train_epochs=2,
        num_processes=4,
    )
    assert config.effective_batch_size == 24
    assert config.total_steps(240) == 20
    assert config.total_steps(241) == 22

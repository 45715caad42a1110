"""Both engines keep one contract; each is run once, in a process of its own (`contract_run`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.models.contract_run import LEARNT

ROOT = Path(__file__).parents[2]

Facts = dict[str, Any]


LAYERS = {"tiny_model": 14, "tiny_picture_model": 21}
"""Linear layers of each model that text passes through."""


@pytest.fixture(
    scope="module",
    params=[
        ("transformers", "tiny_model"),
        ("unsloth", "tiny_model"),
        ("transformers", "tiny_picture_model"),
    ],
    ids="-".join,
)
def facts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    engine, model = request.param
    folder = request.getfixturevalue(model)
    command = [sys.executable, "-m", "tests.models.contract_run", engine, str(folder)]
    work_dir = tmp_path_factory.mktemp(engine)
    done = subprocess.run(
        [*command, str(work_dir)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("FACTS ")]
    found: Facts = json.loads(line.removeprefix("FACTS "))
    assert found["engine"] == engine
    return {**found, "num_layers": LAYERS[model]}


def test_a_process_holds_one_engine_alone(facts: Facts) -> None:
    assert facts["has_unsloth_changed_the_libraries"] is (facts["engine"] == "unsloth")


def test_the_base_is_in_four_bits_and_only_the_adapter_learns(facts: Facts) -> None:
    assert facts["num_4bit_layers"] == facts["num_layers"]
    assert facts["trained_are_lora"]


def test_ready_4_bit_weights_give_what_quantising_here_gives(facts: Facts) -> None:
    assert facts["ready_differs_by"] == 0


def test_the_same_seed_starts_from_the_same_adapter(facts: Facts) -> None:
    assert facts["fresh"] == facts["fresh_again"] != facts["fresh_other_seed"]


def test_the_adapter_is_float32_from_start_to_end(facts: Facts) -> None:
    assert facts["fresh_dtypes"] == facts["dtypes"] == facts["resumed_dtypes"] == ["torch.float32"]


def test_training_lowers_both_losses(facts: Facts) -> None:
    assert len(facts["losses"]) == 6
    assert facts["losses"][-1] < facts["losses"][0]
    assert facts["eval_losses"][-1] < facts["eval_losses"][0]
    assert facts["weights"] != facts["fresh"]


def test_a_resumed_run_ends_bit_for_bit_where_the_uninterrupted_one_does(facts: Facts) -> None:
    assert facts["resumed_losses"] == facts["losses"][3:]
    assert facts["resumed_weights"] == facts["weights"]


def test_gradients_are_the_same_after_an_evaluation(facts: Facts) -> None:
    assert facts["largest_gradient_difference"] == 0.0
    assert len(facts["first_layer_gradients"]) == 7
    assert all(size > 0 for size in facts["first_layer_gradients"])


def test_base_and_tuned_in_one_batch_are_each_what_they_are_alone(facts: Facts) -> None:
    if "refused_to_ask" in facts:  # on a GPU Unsloth trains only; transformers asks
        assert "in one batch" in facts["refused_to_ask"]
        return
    base, tuned = facts["mixed"][::2], facts["mixed"][1::2]
    assert tuned == facts["all_tuned"][1::2] == facts["tuned_one_by_one"] == list(LEARNT.values())
    assert base == facts["all_base"][::2]
    assert all(base)
    assert not set(base) & set(tuned)
    # Standard deviation 0.16: the base moves by rounding at most, the tuned model by units of it.
    assert max(facts["distances_of_base"]) < 0.02
    assert min(facts["distances_of_tuned"]) > 0.5

"""A model that cannot be trained here is refused before its weights are fetched, in one sentence.

The hub is a stand-in on loopback with the real client; cards that are not here, one of NVIDIA's
module. Nothing of a run is left.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.colab.stand_ins import PYNVML
from tests.models.hub_stand_in import GATED_ORIGINAL, LISTED, ModelHub, model_hub
from tests.models.pickled_models import described

ROOT = Path(__file__).parents[2]
START = """
import json, sys
from pathlib import Path
from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import ModelError
from medqlora.services import Services
from ui.configure_tab import Handlers
services = Services.open(Path(sys.argv[1]))
card = services.datasets.prepare(Path(sys.argv[2]))
page = Handlers(services, None)
for name in sys.argv[3:]:
    said = {"page": page.look("", {}, name)[0]}
    for how in (services.training.start, services.training.enqueue):
        try:
            how(QLoRAConfig(name), card.dataset_id)
        except ModelError as error:
            said |= {"message": error.message, "hint": error.hint}
    print(json.dumps(said))
print(json.dumps({"runs": len(services.training.runs())}))
services.close()
"""


def environment(hub: ModelHub, tmp_path: Path, gpu: str) -> dict[str, str]:
    path = os.pathsep.join([str(PYNVML), str(ROOT)])
    home = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": ""}
    return {**os.environ, **home, "PYTHONPATH": path, "STAND_IN_GPU": gpu}


def refused(
    hub: ModelHub, tmp_path: Path, qa_file: Path, *names: str, gpu: str = ""
) -> list[dict[str, Any]]:
    """What the page and starting a run say of each model."""
    done = subprocess.run(
        [sys.executable, "-c", START, str(tmp_path / "workspace"), str(qa_file), *names],
        cwd=ROOT,
        env=environment(hub, tmp_path, gpu),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *said, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert last == {"runs": 0}
    assert hub.weights == []
    return said


def test_what_the_hubs_small_files_say_is_enough_to_refuse(
    tiny_model: Path, tmp_path: Path, qa_file: Path
) -> None:
    expected = {
        "someone/gated": ("accepted its terms", "HF_TOKEN"),
        GATED_ORIGINAL: ("accepted its terms", f"choose {LISTED}, a copy of it"),
        "someone/plain": ("someone/plain has no chat template", "Choose "),
        "someone/pickled": (".bin files only", "MEDQLORA_PICKLED_WEIGHTS=any"),
        "someone/other-format": (".gguf, .pth files only", "safetensors"),
        "someone/encoder": ("does not continue text", "Choose "),
        "someone/weights-only": ("no config.json", "safetensors"),
    }
    with model_hub(tiny_model) as hub:
        other = {**described(tiny_model), "consolidated.00.pth": b"x", "q4.gguf": b"x"}
        hub.publish("someone/other-format", other)
        said = refused(hub, tmp_path, qa_file, *expected)
    for (name, (problem, way_out)), one in zip(expected.items(), said, strict=True):
        assert problem in one["message"], name
        assert way_out in one["hint"], name
        assert problem in one["page"], name


@pytest.mark.parametrize(
    ("gpu", "problem", "way_out"),
    [
        ("T4", "14.9 GiB|15.0 GiB of GPU memory of Tesla T4", "Choose unsloth/"),
        ("M60", "Tesla M60 (compute capability 5.2) cannot hold a model in 4 bits", "Quantisation"),
    ],
)
def test_a_card_that_is_too_small_or_too_old_is_told_with_what_works_on_it(
    gpu: str, problem: str, way_out: str, tiny_model: Path, tmp_path: Path, qa_file: Path
) -> None:
    with model_hub(tiny_model) as hub:
        [said] = refused(hub, tmp_path, qa_file, "unsloth/medgemma-27b-text-it", gpu=gpu)
    assert any(one in said["message"] for one in problem.split("|"))
    assert way_out in said["hint"]
    assert said["message"].count(". ") == 0  # one sentence


def test_the_command_line_refuses_it_with_the_exit_code_of_a_mistake(
    tiny_model: Path, tmp_path: Path, qa_file: Path
) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"model_name": "someone/pickled"}), encoding="utf-8")
    command = [sys.executable, "-m", "medqlora", "train", "--data", str(qa_file), "--json"]
    with model_hub(tiny_model) as hub:
        done = subprocess.run(
            [*command, "--config", str(settings), "--workspace", str(tmp_path / "workspace")],
            cwd=ROOT,
            env=environment(hub, tmp_path, ""),
            capture_output=True,
            text=True,
            check=False,
        )
        assert hub.weights == []
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "not as safetensors" in json.loads(done.stdout)["error"]["message"]


def test_a_forecast_is_not_made_of_a_model_that_no_machine_could_train(
    tiny_model: Path, tmp_path: Path
) -> None:
    expected = {
        "someone/plain": "has no chat template",
        "someone/pickled": "not as safetensors",
        "someone/encoder": "does not continue text",
        "someone/gated": "accepted its terms",
        "someone/tiny": "",
        "unsloth/medgemma-27b-text-it": "",  # too large for the card, which is what is asked
    }
    command = [sys.executable, "-m", "medqlora", "forecast", "--json", "--gpu", "T4"]
    with model_hub(tiny_model) as hub:
        for name, problem in expected.items():
            done = subprocess.run(
                [*command, "--model", name, "--workspace", str(tmp_path / "workspace")],
                cwd=ROOT,
                env=environment(hub, tmp_path, ""),
                capture_output=True,
                text=True,
                check=False,
            )
            said = json.loads(done.stdout)
            assert done.returncode == (2 if problem else 0), name
            assert problem in said.get("error", {}).get("message", ""), name
            assert bool(problem) == ("verdict" not in said), name
        assert hub.weights == []
    assert said["verdict"] == "does not fit"

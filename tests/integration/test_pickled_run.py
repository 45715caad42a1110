"""Runs on a model with pickled weights, and on one whose chat template the app brings.

The first ends with the bytes of a run on the same model's safetensors, after a kill too; what is
made of the second answers with the same template everywhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from medqlora.models.chat_templates import QUESTION_AND_ANSWER
from tests.models.hub_stand_in import COMMIT, model_hub
from tests.models.pickled_models import PARTS, described, in_parts

ROOT = Path(__file__).parents[2]
MEDITRON = "epfl-llm/meditron-7b"
RUNS = """
import hashlib, json, os, signal, sys
from pathlib import Path
from medqlora.config.qlora import QLoRAConfig
from medqlora.services import Services
from tests.waiting import wait_for_end, wait_until
services = Services.open(Path(sys.argv[1]))
training = services.training
card = services.datasets.prepare(Path(sys.argv[2]))
config = QLoRAConfig("someone/pickled", rank=4, alpha=8, dropout=0.1, max_steps=40, save_steps=2,
                     max_seq_length=64, eval_steps=1000, save_minutes=0)
configuration = services.configuration
configuration.compatibility(config.model_name)
said = {"before": configuration.download(config).message}
def sha(run_id):
    file = training.directory(run_id).adapter / "adapter_model.safetensors"
    return hashlib.sha256(file.read_bytes()).hexdigest()
run_id = training.start(config, card.dataset_id)
wait_until(lambda: training.snapshot(run_id).checkpoint_step >= 2)
os.kill(json.loads(training.directory(run_id).worker_file.read_text())["pid"], signal.SIGKILL)
said["first"] = wait_for_end(training, run_id).state
said["phases"] = [one.phase for one in training.directory(run_id).read_events()
                  if hasattr(one, "phase")]
training.resume(run_id)
said["second"] = wait_for_end(training, run_id).state
other = training.start(config.changed(model_name="someone/tiny"), card.dataset_id)
said["third"] = wait_for_end(training, other).state
said["same"] = sha(run_id) == sha(other)
said["recorded"] = training.spec(run_id).config
asked = services.evaluation.start(run_id, queries=("What is asthma?",))
said["asked"] = wait_for_end(services.evaluation, asked).state
merged = services.library.export_merged(training.directory(run_id), services.workspace.root)
said["merged"] = sorted(one.name for one in merged.path.iterdir())
said["after"] = configuration.download(config).message
services.close()
print(json.dumps(said))
"""


def output_of(code: str, *arguments: str, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_pickled_model_is_trained_killed_resumed_asked_and_merged(
    tiny_model: Path, tmp_path: Path, qa_file: Path
) -> None:
    with model_hub(tiny_model) as hub:
        hub.publish("someone/pickled", in_parts(tiny_model))
        said = output_of(
            RUNS,
            str(tmp_path / "workspace"),
            str(qa_file),
            HF_ENDPOINT=hub.endpoint,
            HF_HOME=str(tmp_path / "home"),
            MEDQLORA_PICKLED_WEIGHTS="any",
        )
        pickles = [one for one in hub.weights if one.startswith("someone/pickled/")]
    assert pickles == [f"someone/pickled/{part}" for part in PARTS]
    assert "published as pickles" in said["before"]
    assert any("published as pickles" in one for one in said["phases"])
    assert any(f"converting {PARTS[0]}" in one for one in said["phases"])
    assert said["after"] == "Its converted weights are on this machine."
    assert (said["first"], said["second"], said["third"]) == ("failed", "succeeded", "succeeded")
    assert said["same"]
    recorded = said["recorded"]
    assert (recorded["model_revision"], recorded["base_weights"]) == (COMMIT, "own")
    assert said["asked"] == "succeeded"
    assert [one for one in said["merged"] if "bin" in one or "pytorch" in one] == []
    assert {"model-00001-of-00002.safetensors", "chat_template.jinja"} <= set(said["merged"])
    assert not list(tmp_path.rglob("pytorch_model*.bin"))


BROUGHT = """
import json, sys
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer
from medqlora.config.qlora import QLoRAConfig
from medqlora.services import Services
from tests.waiting import wait_for_end
services = Services.open(Path(sys.argv[1]))
training = services.training
card = services.datasets.prepare(Path(sys.argv[2]))
config = QLoRAConfig("epfl-llm/meditron-7b", rank=4, alpha=8, max_steps=3, max_seq_length=64,
                     eval_steps=1000)
run_id = training.start(config, card.dataset_id)
said = {"trained": wait_for_end(training, run_id).state}
measured = services.datasets.start_measuring(card.dataset_id, config.model_name)
wait_for_end(services.datasets.imports, measured)
proof = services.datasets.proofs(card.dataset_id, config.model_name, 512)[0]
said["learned"] = "".join(one.text for one in proof.tokens if one.is_trained)
said["read"] = "".join(one.text for one in proof.tokens if not one.is_trained)
back = services.library.import_adapter(
    services.library.export(training.directory(run_id), services.workspace.root))
asked = services.evaluation.start(back, queries=("What is asthma?",))
said["asked"] = wait_for_end(services.evaluation, asked).state
for one in (run_id, back):
    merged = services.library.export_merged(
        training.directory(one), services.workspace.root).path
    said.setdefault("templates", []).append((merged / "chat_template.jinja").read_text())
tokenizer = AutoTokenizer.from_pretrained(merged)
said["plain"] = tokenizer.apply_chat_template([{"role": "user", "content": "What?"}],
                                              tokenize=False, add_generation_prompt=True)
said["begins"] = tokenizer.bos_token
AutoModelForCausalLM.from_pretrained(merged)
services.close()
print(json.dumps(said))
"""


def test_a_model_without_a_template_is_trained_and_asked_with_the_one_that_the_app_brings(
    tiny_model: Path, tmp_path: Path, qa_file: Path
) -> None:
    folder = tmp_path / "workspace" / "models" / MEDITRON
    folder.mkdir(parents=True)
    for name, content in described(tiny_model, without="chat_template.jinja").items():
        (folder / name).write_bytes(content)
    (folder / "model.safetensors").symlink_to(tiny_model / "model.safetensors")
    said = output_of(BROUGHT, str(tmp_path / "workspace"), str(qa_file))
    assert said["trained"] == said["asked"] == "succeeded"
    assert said["templates"] == [QUESTION_AND_ANSWER] * 2
    assert said["plain"] == f"{said['begins']}Question: What?\nAnswer:"
    assert "Question: " in said["read"]
    assert said["read"].endswith("Answer:")
    assert said["learned"].endswith("<|im_end|>")
    assert not (folder / "chat_template.jinja").exists()  # what the user put there is left alone

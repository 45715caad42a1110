"""Models from the hub are judged by their description, before gigabytes are fetched.

The client library is the real one, in a process of its own because it reads its address once; the
hub is a stand-in on loopback.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.models.hub_stand_in import COMMIT, PUSHED, hub_of, model_hub

PIN = """
import sys
from pathlib import Path
from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import MedQLoRAError
from medqlora.models.loader import QuantizedModelLoader
from medqlora.models.model_files import ModelFiles
place, name, revision = sys.argv[1:]
try:
    config = ModelFiles(models_dir=Path(place)).pinned(QLoRAConfig(name, model_revision=revision))
    folder = Path(QuantizedModelLoader(models_dir=Path(place)).find(config))
    print(config.model_revision, folder.name)
except MedQLoRAError as error:
    print(error.code, error.message)
"""
RECORD = """
import sys
from pathlib import Path
from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.errors import ConfigError
from medqlora.services import Services
services = Services.open(Path(sys.argv[1]))
card = services.datasets.prepare(Path(sys.argv[2]))
config = QLoRAConfig("someone/tiny")
run = services.training.create(config, card.dataset_id, path=services.workspace.runs / "a")
print("run", run.spec().config["model_revision"])
try:
    local = QLoRAConfig(EMBEDDED_MODEL, model_revision="0" * 40)
    services.training.create(local, card.dataset_id, path=services.workspace.runs / "b")
except ConfigError as error:
    print("local", error.code)
services.close()
"""
NOBODY = "http://127.0.0.1:9"
ASK = """
import json, sys
from pathlib import Path
from medqlora.errors import MedQLoRAError
from medqlora.persistence.workspace import Workspace
from medqlora.services.configuration import ConfigurationService
service = ConfigurationService(Workspace.open(Path(sys.argv[1])))
for name in sys.argv[2:]:
    try:
        report = service.compatibility(name)
        said = {"fits": report.is_compatible, "problems": report.problems,
                "others": report.alternatives}
        suggested = service.defaults(name)
        said["reasons"] = [one.name for one in suggested.choices]
    except MedQLoRAError as error:
        said = {"code": error.code, "error": error.message, "hint": error.hint}
    print(json.dumps(said))
"""
FETCH = """
import sys
from pathlib import Path
from medqlora.models.model_files import ModelFiles
folder = ModelFiles(models_dir=Path(sys.argv[1])).resolve(sys.argv[2])
print(*sorted(one.name for one in Path(folder).iterdir()))
"""


def output_of(code: str, *arguments: str, endpoint: str, home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HOME": str(home), "PATH": ""},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    return done.stdout


def asked(*names: str, endpoint: str, tmp_path: Path) -> list[dict[str, Any]]:
    place = str(tmp_path / "workspace")
    said = output_of(ASK, place, *names, endpoint=endpoint, home=tmp_path / "home")
    return [json.loads(line) for line in said.splitlines()]


def test_each_kind_of_model_gets_its_own_sentence(tiny_model: Path, tmp_path: Path) -> None:
    names = ["tiny", "encoder", "gated", "weights-only", "nothing"]
    with hub_of(tiny_model) as endpoint:
        whole, encoder, gated, weights, unknown = asked(
            *(f"someone/{name}" for name in names), endpoint=endpoint, tmp_path=tmp_path
        )
    assert whole["fits"]
    assert "rank" in whole["reasons"]
    assert not encoder["fits"]
    assert "does not continue text" in encoder["problems"][0]
    assert encoder["others"]
    assert "accepted its terms" in gated["error"]
    assert "HF_TOKEN" in gated["hint"]
    assert "no config.json" in weights["error"]
    assert "There is no model called someone/nothing" in unknown["error"]
    assert {one["code"] for one in (gated, weights, unknown)} == {"model_error"}


def test_what_cannot_be_an_id_asks_nobody(tmp_path: Path) -> None:
    names = ("../etc/passwd", "one", "a/b/c", "a/.ssh", "https://x/y", "a b/c")
    for said in asked(*names, endpoint=NOBODY, tmp_path=tmp_path):
        assert "is not the name of a model" in said["error"]


def test_a_hub_that_cannot_be_reached_is_said_at_once(tmp_path: Path) -> None:
    [said] = asked("someone/tiny", endpoint=NOBODY, tmp_path=tmp_path)
    assert "cannot be reached" in said["error"]
    assert "which needs none" in said["hint"]


def test_what_was_fetched_once_needs_no_network_again(tiny_model: Path, tmp_path: Path) -> None:
    place, home = str(tmp_path / "models"), tmp_path / "home"
    with hub_of(tiny_model) as endpoint:
        first = output_of(FETCH, place, "someone/tiny", endpoint=endpoint, home=home)
    assert "model.safetensors" in first.split()
    again = output_of(FETCH, place, "someone/tiny", endpoint=endpoint, home=home)
    assert again == first
    [said] = asked("someone/tiny", endpoint=NOBODY, tmp_path=tmp_path)
    assert said["fits"]


def test_a_push_by_the_vendor_does_not_change_what_a_run_uses(
    tiny_model: Path, tmp_path: Path
) -> None:
    place, home = str(tmp_path / "models"), tmp_path / "home"

    def pinned(revision: str, *, home: Path = home) -> list[str]:
        told = output_of(PIN, place, "someone/tiny", revision, endpoint=hub.endpoint, home=home)
        return told.split()

    with model_hub(tiny_model) as hub:
        assert pinned("") == [COMMIT, COMMIT]
        config = (tiny_model / "config.json").read_bytes()
        hub.push("someone/tiny", "config.json", config + b"\n\n")
        assert pinned(COMMIT) == [COMMIT, COMMIT]  # kept here
        assert pinned(COMMIT, home=tmp_path / "other") == [COMMIT, COMMIT]  # fetched again
        hub.forget()
        assert pinned(COMMIT) == [COMMIT, COMMIT]  # still here
        gone = " ".join(pinned(COMMIT, home=tmp_path / "third"))
        assert gone.startswith(f"model_error Revision {COMMIT[:12]} of someone/tiny is neither")
        assert pinned("") == [PUSHED, PUSHED]


def test_a_run_has_the_revision_of_its_model_on_record(
    tiny_model: Path, tmp_path: Path, qa_file: Path
) -> None:
    with model_hub(tiny_model) as hub:
        place = str(tmp_path / "workspace")
        told = output_of(RECORD, place, str(qa_file), endpoint=hub.endpoint, home=tmp_path / "home")
    assert told.split() == ["run", COMMIT, "local", "config_error"]


def test_a_model_in_the_workspace_is_used_before_the_hub(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "workspace" / "models" / "hospital" / "llama"
    folder.parent.mkdir(parents=True)
    folder.symlink_to(tiny_model)
    [said] = asked("hospital/llama", endpoint=NOBODY, tmp_path=tmp_path)
    assert said["fits"]
    assert "rank" in said["reasons"]

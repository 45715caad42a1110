"""Models are data: no code of theirs is run, nothing is unpickled that we did not write."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.test_layers import ROOT, name_of, parsed, product_files

# Resuming reads the optimizer files of our own checkpoints, whose hashes were recorded, by way of
# the trainer; nothing of ours calls these but the process that converts pickled weights of the hub.
UNPICKLING = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "jsonpickle",
}
CONVERTING = "medqlora/models/unpickling.py"
LOADING_CALLS = ("torch.load", "np.load", "numpy.load", "pd.read_pickle", "pandas.read_pickle")
RUNNING_CALLS = ("eval", "exec", "compile", "__import__")


def calls(file: Path) -> Iterator[ast.Call]:
    yield from (one for one in ast.walk(parsed(file)) if isinstance(one, ast.Call))


@pytest.mark.parametrize("file", product_files(), ids=name_of)
def test_nothing_is_unpickled_or_run_from_text(file: Path) -> None:
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            assert not {one.name.split(".")[0] for one in node.names} & UNPICKLING
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.module.split(".")[0] not in UNPICKLING
    for call in calls(file):
        name = ast.unparse(call.func)
        assert name not in LOADING_CALLS or name_of(file) == CONVERTING
        assert name not in RUNNING_CALLS
        assert not name.endswith((".extractall", ".unpack_archive"))
        for keyword in call.keywords:
            if keyword.arg in ("weights_only", "trust_remote_code", "shell"):
                expected = keyword.arg == "weights_only"
                assert isinstance(keyword.value, ast.Constant)
                assert keyword.value.value is expected


def test_what_loads_a_model_says_that_its_code_is_not_run() -> None:
    seen = 0
    for file in product_files():
        for call in calls(file):
            name = ast.unparse(call.func)
            if not name.endswith(".from_pretrained") or "PeftModel" in name:
                continue
            given = {one.arg for one in call.keywords}
            seen += 1
            assert "trust_remote_code" in given or None in given, f"{name_of(file)}: {name}"
    assert seen >= 5


FETCHING = (".from_pretrained", "snapshot_download", "hf_hub_download")
# Neither has a way to say "this folder alone"; both are given the folder that was resolved before.
GIVEN_A_FOLDER = {
    ("transformers_engine.py", "PeftModel.from_pretrained"),
    ("unsloth_engine.py", "FastLanguageModel.from_pretrained"),
}


def test_nothing_is_fetched_but_at_a_revision() -> None:
    seen = 0
    for file in product_files():
        for call in calls(file):
            name = ast.unparse(call.func)
            if not name.endswith(FETCHING):
                continue
            seen += 1
            given = {one.arg: ast.unparse(one.value) for one in call.keywords}
            if None in given:  # the options of the transformers engine
                assert '"local_files_only": True' in file.read_text(), name_of(file)
                continue
            is_pinned = "revision" in given and given["revision"] != "None"
            is_here = given.get("local_files_only") == "True"
            assert is_pinned or is_here or (file.name, name) in GIVEN_A_FOLDER, name_of(file)
    assert seen >= 10


def test_the_one_place_that_unpickles_is_confined_before_and_takes_weights_only() -> None:
    tree = parsed(ROOT / CONVERTING)
    found = [one for one in ast.walk(tree) if isinstance(one, ast.Call)]
    lines = {ast.unparse(one.func): one.lineno for one in found}
    [loading] = [one for one in found if ast.unparse(one.func) == "torch.load"]
    assert "weights_only=True" in ast.unparse(loading)
    assert lines["confine"] < lines["_is_plain"] < loading.lineno
    assert lines["torch.serialization.get_unsafe_globals_in_checkpoint"] < loading.lineno
    importing = [
        name_of(file)
        for file in product_files()
        if "import unpickling" in (text := file.read_text()) or ", unpickling" in text
    ]
    assert importing == ["medqlora/models/conversion.py"]  # for its name and its exit codes


def test_weights_are_fetched_as_safetensors_alone() -> None:
    text = (ROOT / "medqlora/models/hub.py").read_text()
    assert "*.safetensors" in text
    for kind in (".bin", ".pt", ".pth", ".pkl", ".py", ".ckpt", ".h5"):
        assert f'"*{kind}"' not in text


def test_libraries_are_told_to_tell_nobody_before_they_are_imported() -> None:
    code = (
        "import os, medqlora, medqlora.models, importlib.util, sys;"
        "print(os.environ['DO_NOT_TRACK'], os.environ['UNSLOTH_DISABLE_STATISTICS'],"
        " os.environ['USE_HUB_KERNELS'], os.environ['HF_HUB_DISABLE_TELEMETRY'],"
        " importlib.util.find_spec('kernels'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "1", "NO", "1", "None"]

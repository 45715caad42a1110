"""Files that pretend to be a model's weights: each ends in one sentence, and nothing is left.

Hub and client as in `models/test_conversion`; code in a pickle would make a file, the canary.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from medqlora.models import conversion, unpickling
from tests.models.hub_stand_in import model_hub
from tests.models.pickled_models import INDEX, ONE, PARTS, described, in_parts, pickled, weights_of
from tests.models.test_conversion import NAME, left, resolved, resolved_all

ROOT = Path(__file__).parents[2]
DAMAGED = "is damaged, or is not a file of plain weights"


class Trap:
    """Makes the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self._canary}",)


class Calls:
    """Calls something that torch itself allows, with what it was made for or not."""

    def __init__(self, what: Callable[..., object], *arguments: object) -> None:
        self._reduced = what, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._reduced


def saved(value: Any, **options: Any) -> bytes:
    import torch

    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def zipped(inside: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, content in inside.items():
            archive.writestr(name, content)
    return file.getvalue()


def repeated() -> bytes:
    """A file of a kilobyte that says it holds 4 TB."""
    import torch

    return saved({"weight": torch.zeros(1).expand(2**20, 2**20)})


FILES: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "code among weights": (lambda canary: saved({"weight": Trap(canary)}), "more than weights"),
    "code, new protocol": (
        lambda canary: saved({"weight": Trap(canary)}, pickle_protocol=4),
        DAMAGED,
    ),
    "code, old format": (
        lambda canary: saved(Trap(canary), _use_new_zipfile_serialization=False),
        DAMAGED,
    ),
    "a demand for memory": (lambda _: saved({"weight": Calls(bytearray, 2**42)}), "Memory"),
    "one weight again and again": (lambda _: repeated(), DAMAGED),
}
"""What to publish as weights, and what is said of it."""

NOT_EVEN_READ: dict[str, Callable[[Path], bytes]] = {
    "a bare pickle": lambda canary: pickle.dumps(Trap(canary)),
    "an old format": lambda canary: saved(Trap(canary), _use_new_zipfile_serialization=False),
    "packed": lambda canary: zipped({"a/data.pkl": pickle.dumps(canary)}, zipfile.ZIP_DEFLATED),
    "a bomb": lambda _: zipped({"a/data.pkl": bytes(2**28)}, zipfile.ZIP_DEFLATED),
    "a pickle of 128 MB": lambda _: zipped({"a/data.pkl": bytes(2**27)}),
    "two pickles": lambda _: zipped({"a/data.pkl": b".", "b/data.pkl": b"."}),
    "no pickle": lambda _: zipped({"a/data": b"."}),
    "text": lambda _: b"version https://git-lfs.github.com/spec/v1\n",
    "nothing at all": lambda _: b"",
    "cut at its end": lambda _: pickled({"weight": _ones()})[:-100],
    "cut in the middle": lambda _: pickled({"weight": _ones()})[:9000],
}


def _ones() -> Any:
    import torch

    return torch.ones(5000)


def assert_refused(said: dict[str, str], problem: str, tmp_path: Path) -> None:
    assert problem in said["error"]
    assert said["error"].count(". ") == 0  # one sentence
    assert said["hint"]
    assert set(left(tmp_path)) <= {".lock"}
    assert not list(tmp_path.rglob("*canary*"))


def test_a_file_that_is_not_plain_weights_is_refused_and_deleted(
    tiny_model: Path, tmp_path: Path
) -> None:
    names = {kind: f"someone/{kind.replace(' ', '-').replace(',', '')}" for kind in FILES}
    with model_hub(tiny_model) as hub:
        for kind, name in names.items():
            make, _ = FILES[kind]
            hub.publish(name, {**described(tiny_model), ONE: make(tmp_path / "canary")})
        said = resolved_all(hub, tmp_path, *names.values())
    for kind, one in zip(FILES, said, strict=True):
        assert names[kind] in one["error"]
        assert_refused(one, FILES[kind][1], tmp_path)


@pytest.mark.parametrize("kind", NOT_EVEN_READ)
def test_what_torch_did_not_write_so_is_not_given_to_it(kind: str, tmp_path: Path) -> None:
    file = tmp_path / ONE
    file.write_bytes(pickled({"weight": _ones()}))
    assert unpickling._is_plain(file)
    file.write_bytes(NOT_EVEN_READ[kind](tmp_path / "canary"))
    assert not unpickling._is_plain(file)


def test_only_names_with_plain_tensors_are_weights() -> None:
    import torch

    whole = {"model.norm.weight": torch.zeros(3), "model.steps": torch.tensor(3)}
    others: tuple[Any, ...] = (
        {"weight": torch.eye(3).to_sparse()},
        {"weight": torch.empty(3, device="meta")},
        [torch.zeros(3)],
        {"state_dict": {"weight": torch.zeros(3)}},
        {"../../weight": torch.zeros(3)},
        {"a\nb": torch.zeros(3)},
        {3: torch.zeros(3)},
        {"weight": 3.0},
        {},
        None,
    )
    assert unpickling._are_weights(whole, most_bytes=20)
    assert not unpickling._are_weights(whole, most_bytes=19)
    assert not any(unpickling._are_weights(one, most_bytes=10**9) for one in others)


LISTS: tuple[tuple[Any, str], ...] = (
    ({"weight_map": {"weight": "../../x"}}, "names other files"),
    ({"weight_map": {"weight": f"../{PARTS[0]}"}}, "names other files"),
    ({"weight_map": {"weight": "/etc/passwd"}}, "names other files"),
    ({"weight_map": {"weight": "training_args.bin"}}, "names other files"),
    ({"weight_map": {"a": PARTS[0], "b": PARTS[1]}}, "other weights than the list"),
    ({"weight_map": ["a"]}, "is damaged"),
    ({}, "is damaged"),
    ([], "is damaged"),
)


def test_a_list_of_weights_that_leads_elsewhere_is_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    names = [f"someone/list-{number}" for number in range(len(LISTS))]
    files = {**in_parts(tiny_model), "training_args.bin": b"anything"}
    with model_hub(tiny_model) as hub:
        for name, (index, _) in zip(names, LISTS, strict=True):
            hub.publish(name, {**files, INDEX: json.dumps(index).encode()})
        said = resolved_all(hub, tmp_path, *names)
        assert not any("training_args" in one for one in hub.weights)
    for one, (_, problem) in zip(said, LISTS, strict=True):
        assert_refused(one, problem, tmp_path)


def test_a_weight_in_two_files_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    whole = pickled(weights_of(tiny_model))
    with model_hub(tiny_model) as hub:
        hub.publish(NAME, {**in_parts(tiny_model), **dict.fromkeys(PARTS, whole)})
        assert_refused(resolved(hub, tmp_path), "a weight of the same name", tmp_path)


def test_other_files_of_weights_are_never_fetched(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("training_args.bin", "consolidated.00.pth", PARTS[0], "x/pytorch_model.bin"):
        with model_hub(tiny_model) as hub:
            hub.publish(NAME, {**described(tiny_model), name: b"anything"})
            assert_refused(resolved(hub, tmp_path), "not as safetensors", tmp_path)
            assert hub.weights == []


def test_the_converting_process_knows_no_secret(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hf_secret_of_this_test"
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "MEDQLORA_MIRROR", "http_proxy"):
        monkeypatch.setenv(name, secret)
    source, target = tmp_path / ONE, tmp_path / "converted"
    source.write_bytes(pickled(weights_of(tiny_model)))
    target.mkdir()
    known: list[dict[str, str]] = []

    def look() -> None:
        while working.is_alive():
            for child in psutil.Process().children():
                try:
                    if unpickling.__name__ in child.cmdline():
                        known.append(child.environ())
                except psutil.Error:
                    continue

    working = threading.Thread(target=conversion._convert, args=(source, target, "x"))
    working.start()
    look()
    working.join()
    assert [one.name for one in target.iterdir()] == ["00000.safetensors"]
    assert known
    assert secret not in str(known)
    assert str(Path.home()) != known[-1]["HOME"]


CONFINED = """
import json, os, signal, socket, subprocess, sys, threading
from pathlib import Path
import torch
from medqlora.models.confinement import confine
inside, outside = Path(sys.argv[1]), Path(sys.argv[2])
confine(writable=inside, more_memory_bytes=2**29)
def refused(what):
    try:
        what()
    except (OSError, MemoryError, RuntimeError):
        return True
    return False
print(json.dumps({
    "connect": refused(lambda: socket.create_connection(("127.0.0.1", 9), timeout=1)),
    "socket": refused(lambda: socket.socket(socket.AF_UNIX)),
    "program": refused(lambda: subprocess.run(["/bin/true"])),
    "shell": os.system(f"touch {outside}/canary") != 0,
    "signal": refused(lambda: os.kill(os.getppid(), 0)),
    "memory": refused(lambda: bytearray(2**30)),
    "tensor": refused(lambda: torch.ones(2**30, dtype=torch.uint8)),
    "write": refused(lambda: (outside / "canary").write_text("x")),
    "delete": refused(lambda: (outside / "kept").unlink()),
    "inside": not refused(lambda: (inside / "file").write_text("x")),
}))
"""


def test_the_kernel_takes_away_what_harm_could_be_done_with(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "kept").touch()
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, str(inside), str(outside)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert said == dict.fromkeys(said, True)
    assert [one.name for one in outside.iterdir()] == ["kept"]

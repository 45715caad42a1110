"""The machine as ColabResourceDetector sees it, with the vendors' modules stood in for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.colab.stand_ins import GOOGLE, HALF_GOOGLE, PYNVML, output_of

LOOK = """
import json
from medqlora import ColabResourceDetector
from medqlora.errors import NoGpuError
detector = ColabResourceDetector()
machine = detector.configure_environment()
found = {"capacity": detector.estimate_memory_capacity(), "dtype": machine.compute_dtype,
         "reasons": {one.name: one.reason for one in machine.choices}, "colab": machine.is_colab,
         "ram_gib": machine.ram_gib, "disk_gib": machine.free_disk_gib}
try:
    gpu = detector.detect_gpu()
    found |= {"name": gpu.name, "gib": round(gpu.total_gib, 1), "driver": gpu.driver_version}
except NoGpuError as error:
    found |= {"error": error.message, "hint": error.hint}
print(json.dumps(found))
"""
WORDS = "from medqlora.colab.notebook import describe_machine; print(describe_machine())"


def look(*stand_ins: Path, **environment: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output_of(LOOK, *stand_ins, **environment))
    return found


@pytest.mark.parametrize(
    ("card", "name", "gib", "dtype"),
    [
        ("T4", "Tesla T4", 15.0, "float16"),
        ("L4", "NVIDIA L4", 22.5, "bfloat16"),
        ("A100", "NVIDIA A100-SXM4-40GB", 40.0, "bfloat16"),
        ("H100", "NVIDIA H100 80GB HBM3", 79.6, "bfloat16"),
    ],
)
def test_each_of_colabs_cards_is_known_by_name_memory_and_number_format(
    card: str, name: str, gib: float, dtype: str
) -> None:
    found = look(PYNVML, STAND_IN_GPU=card)
    assert (found["name"], found["gib"], found["dtype"]) == (name, gib, dtype)
    assert found["capacity"] == pytest.approx(gib * 2**30, rel=0.01)
    assert found["driver"] == "580.82.07"
    assert name in found["reasons"]["compute_dtype"]


def test_a_machine_without_a_gpu_counts_its_ram_and_says_how_to_get_a_gpu_on_colab() -> None:
    found = look(PYNVML, STAND_IN_GPU="")
    assert "name" not in found
    assert 0 < found["capacity"] <= found["ram_gib"] * 2**30
    assert found["disk_gib"] > 0
    assert found["error"] == "No GPU was found on this machine."
    assert "Runtime, Change runtime type, T4 GPU" in found["hint"]
    assert "No GPU was found" in found["reasons"]["compute_dtype"]


@pytest.mark.parametrize(
    ("stand_ins", "is_colab"), [((), False), ((GOOGLE,), True), ((HALF_GOOGLE,), True)]
)
def test_colab_is_recognised_even_when_its_module_half_works(
    stand_ins: tuple[Path, ...], is_colab: bool
) -> None:
    assert look(PYNVML, *stand_ins)["colab"] is is_colab


def test_the_notebook_says_in_words_what_a_t4_is() -> None:
    lines = output_of(WORDS, PYNVML, STAND_IN_GPU="T4").splitlines()
    assert lines[0] == "GPU: Tesla T4, 15.0 GiB."
    assert lines[1].startswith("RAM: ")
    assert "compute_dtype: float16. Tesla T4 has no bfloat16." in lines


def test_the_notebook_advises_when_there_is_no_gpu() -> None:
    said = output_of(WORDS, PYNVML, STAND_IN_GPU="")
    assert "Change runtime type, T4 GPU" in said
    assert "run cell 1 anew" in said

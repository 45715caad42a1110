"""A graphics card or driver that vanishes: one sentence, nothing wrong in the plots, a way on.

NVIDIA's own module is stood in for; what torch would say is raised in a real worker.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from medqlora.domain.events import Event, MemoryExpected, MemorySampled, RunFailed, RunWarned
from medqlora.errors import CheckpointDiffersError
from medqlora.runs.event_log import EventLogWriter
from medqlora.runs.origins import refuse_differences
from medqlora.services import Services
from medqlora.training.failures import card_failure
from medqlora.training.memory import MemoryMonitor
from tests.colab.stand_ins import PYNVML, output_of
from tests.faults.faulty_worker import Inject
from tests.faults.runs import CONFIG, assert_one_end_each
from tests.waiting import wait_for_end, wait_until

ASK = """
import json
from pathlib import Path
from medqlora import ColabResourceDetector
from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import NoGpuError
from medqlora.models.compatibility import ModelCompatibilityChecker
name = "unsloth/medgemma-27b-text-it"
report = ModelCompatibilityChecker().check(name, config=QLoRAConfig(name, quantization="none"))
machine = ColabResourceDetector().configure_environment()
said = {"problems": report.problems, "reasons": [one.reason for one in machine.choices]}
try:
    ColabResourceDetector().detect_gpu()
except NoGpuError as error:
    said["error"] = error.message
print(json.dumps(said))
"""
DOES_NOT_ANSWER = "is installed and does not answer"


def test_the_memory_curve_holds_one_thing_and_the_user_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = SimpleNamespace(is_so=False)

    def init() -> None:
        if lost.is_so:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    memory = SimpleNamespace(used=2**30, total=2**34)
    monkeypatch.setattr(pynvml, "nvmlInit", init)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda handle: memory)
    events: list[Event] = []

    def samples() -> list[str]:
        return [one.source for one in events if isinstance(one, MemorySampled)]

    def warnings() -> list[RunWarned]:
        return [one for one in events if isinstance(one, RunWarned)]

    with MemoryMonitor(events.append, interval_seconds=0.01):
        wait_until(lambda: len(samples()) >= 2)
        lost.is_so = True
        wait_until(lambda: bool(warnings()))
        seen = len(samples())
        lost.is_so = False
        wait_until(lambda: len(samples()) >= seen + 2)
    assert set(samples()) == {"gpu"}
    [warning] = warnings()
    assert "does not answer any more" in warning.message
    assert "Resume" in warning.hint


def test_a_card_that_is_lost_in_training_is_told_and_the_run_goes_on_later(
    services: Services, qa_file: Path, inject: Inject
) -> None:
    training = services.training
    card = services.datasets.prepare(qa_file)
    inject("card_lost", step=5)
    run_id = training.start(CONFIG.changed(max_steps=6, save_steps=2), card.dataset_id)
    end = wait_for_end(training, run_id).outcome
    assert isinstance(end, RunFailed)
    assert end.code == "gpu_lost"
    assert "stopped answering" in end.message
    assert "Resume" in end.hint
    assert services.guidance.steps(training.snapshot(run_id))

    # Without the card it would go on many times slower, so the user is asked.
    directory = training.directory(run_id)
    kept = directory.events.read_bytes()
    with EventLogWriter(directory.events, run_id=run_id) as log:
        log.append(MemoryExpected(source="gpu", expected_gib=1.0, num_tokens=1))
    with pytest.raises(CheckpointDiffersError, match="none answers now"):
        refuse_differences(directory)
    directory.events.write_bytes(kept)
    inject()
    training.resume(run_id)
    assert wait_for_end(training, run_id).state == "succeeded"
    assert_one_end_each(services, run_id)


def test_a_driver_that_does_not_answer_is_not_taken_for_a_machine_without_a_card() -> None:
    said = json.loads(output_of(ASK, PYNVML, STAND_IN_GPU="mismatch"))
    assert DOES_NOT_ANSWER in said["error"]
    assert DOES_NOT_ANSWER in said["problems"][0]
    assert any(DOES_NOT_ANSWER in one for one in said["reasons"])
    without = json.loads(output_of(ASK, PYNVML, STAND_IN_GPU=""))
    assert DOES_NOT_ANSWER not in json.dumps(without)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("CUDA error: no kernel image is available for execution on the device", "no_gpu"),
        ("CUDA error: the launch timed out and was terminated", "gpu_lost"),
        ("NVML_SUCCESS == r INTERNAL ASSERT FAILED", "gpu_lost"),
        ("CUDA error: device-side assert triggered", None),  # a mistake in what was computed
        ("CUDA out of memory. Tried to allocate 2.00 GiB.", None),
        ("shape mismatch", None),
    ],
)
def test_what_torch_says_of_a_card_has_a_sentence(words: str, code: str | None) -> None:
    found = card_failure(RuntimeError(words))
    assert (found.code if found else None) == code

"""A run whose batch would not fit is started with a smaller one, and says so."""

from __future__ import annotations

import html
from pathlib import Path

import psutil
import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import MemoryExpected, ParametersAdjusted
from medqlora.foreground import run_in_foreground
from medqlora.models.memory_reading import detect_gpu
from medqlora.persistence.adapters import AdapterSaver
from medqlora.persistence.workspace import Workspace
from medqlora.services import Services
from tests.waiting import wait_for_end


@pytest.mark.skipif(
    detect_gpu() is not None or psutil.virtual_memory().total > 80 * 2**30,
    reason="even the largest batch that may be set fits this machine",
)
def test_a_batch_that_would_not_fit_is_lowered_and_the_effective_batch_kept(
    tiny_workspace: Workspace, qa_file: Path
) -> None:
    services = Services.open(tiny_workspace.root)
    card = services.datasets.prepare(qa_file)
    config = QLoRAConfig(
        EMBEDDED_MODEL,
        rank=4,
        alpha=8,
        max_steps=1,
        per_device_train_batch_size=256,
        max_seq_length=32_768,
    )
    run_id = services.training.start(config, card.dataset_id)
    snapshot = wait_for_end(services.training, run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    directory = services.training.directory(run_id)
    [adjusted] = [one for one in directory.read_events() if isinstance(one, ParametersAdjusted)]
    assert adjusted.adjustments[0].name == "per_device_train_batch_size"
    used = QLoRAConfig.from_dict(AdapterSaver.metadata(str(directory.adapter))["training_config"])
    assert used.per_device_train_batch_size < 256
    assert used.effective_batch_size == 256

    # The forecast was recorded when training began, and stands beside what was measured since.
    [expected] = [one for one in directory.read_events() if isinstance(one, MemoryExpected)]
    assert expected.source == "ram"
    assert 0 < expected.num_tokens <= used.per_device_train_batch_size * used.max_seq_length
    check = snapshot.memory_check
    assert check is not None
    assert check.forecast_gib == expected.expected_gib
    assert 0 < check.measured_gib <= snapshot.peak_memory_gib
    page = services.report.write(directory, tiny_workspace.uploads).read_text(encoding="utf-8")
    assert html.escape(check.message) in page

    # The next run of this kind begins with what was found, and says where it comes from.
    following = services.training.create(
        config, card.dataset_id, path=tiny_workspace.runs / "following"
    )
    run_in_foreground(services.workspace, following, on_snapshot=lambda snapshot: None)
    [same] = [one for one in following.read_events() if isinstance(one, ParametersAdjusted)]
    assert [one.new for one in same.adjustments] == [one.new for one in adjusted.adjustments]
    assert f"fitted in {run_id}" in same.adjustments[0].reason

"""A run outlives its machine: trained with a mirror, killed, its workspace gone, gone on with."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import StepLogged
from medqlora.errors import PersistenceError
from medqlora.models import embedded
from medqlora.persistence.workspace import Workspace
from medqlora.runs.process import recorded_process
from medqlora.services import Services, cells
from tests.waiting import wait_for_end, wait_for_step, wait_until

CONFIG = QLoRAConfig(
    EMBEDDED_MODEL,
    rank=4,
    alpha=8,
    dropout=0.1,
    learning_rate=1e-3,
    max_steps=40,
    save_steps=5,
    max_seq_length=128,
)


def weights(services: Services, run_id: str) -> str:
    file = services.training.directory(run_id).adapter / "adapter_model.safetensors"
    return hashlib.sha256(file.read_bytes()).hexdigest()


def losses(services: Services, run_id: str) -> dict[int, float]:
    events = services.training.directory(run_id).read_events()
    return {one.step: one.loss for one in events if isinstance(one, StepLogged)}


def lose_the_machine(services: Services, run_id: str) -> None:
    """Kills everything that runs and deletes the workspace."""
    for record in (
        services.training.directory(run_id).worker_file,
        services.workspace.mirror / "worker.json",
    ):
        process = recorded_process(record)
        assert process is not None
        for one in (*process.children(recursive=True), process):
            one.kill()
    wait_for_end(services.training, run_id)
    shutil.rmtree(services.workspace.root)


def safe_step(services: Services, run_id: str) -> int:
    state = services.mirror.state(run_id)
    assert state is not None
    return state.step


@pytest.fixture
def new_machine(tmp_path: Path, tiny_model: Path) -> Path:
    """An empty workspace at another place, with the model that would be unpacked there."""
    workspace = Workspace.open(tmp_path / "new" / "workspace")
    shutil.copytree(tiny_model, embedded.folder(workspace.models))
    return workspace.root


def test_a_run_goes_on_from_the_mirror_alone_to_the_weights_of_an_uninterrupted_one(
    tiny_workspace: Workspace,
    qa_file: Path,
    tmp_path: Path,
    new_machine: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    drive = str(tmp_path / "drive")
    services = Services.open(tiny_workspace.root, mirror=drive)
    card = services.datasets.prepare(qa_file)
    reference = services.training.start(CONFIG, card.dataset_id)
    assert wait_for_end(services.training, reference).state == "succeeded"
    expected, expected_losses = weights(services, reference), losses(services, reference)
    kept = services.mirror.wait_until_safe(reference, 60)
    assert kept is not None
    assert kept.is_safe
    assert kept.message == f"Safe in {drive}, with the adapter."

    run_id = services.training.start(CONFIG, card.dataset_id)
    wait_for_step(services.training, run_id, 12)
    wait_until(lambda: safe_step(services, run_id) >= 5)
    lose_the_machine(services, run_id)

    new = Services.open(new_machine, mirror=drive)
    listed = {one.run_id: (one.is_done, one.is_here) for one in new.mirror.contents().runs}
    assert listed == {reference: (True, False), run_id: (False, False)}
    # What the notebook's cell does, and the button on the Train tab.
    assert cells.resume(new) == run_id
    said = capsys.readouterr().out
    assert "is back. It goes on from step" in said
    assert f"Safe in {drive}, with the adapter." in said
    snapshot = new.training.snapshot(run_id)
    assert snapshot.state == "succeeded", snapshot.messages
    assert weights(new, run_id) == expected
    assert losses(new, run_id) == expected_losses
    assert [point.x for point in snapshot.traces["loss"]] == list(range(1, 41))

    # The finished one comes back too; then there is nothing left to bring.
    with pytest.raises(PersistenceError, match="in the workspace already"):
        new.mirror.restore(run_id)
    back = new.mirror.restore()
    assert (back.run_id, back.can_resume) == (reference, False)
    assert weights(new, reference) == expected
    with pytest.raises(PersistenceError, match="no run that is not here"):
        new.mirror.restore()

"""What the notebook's cells call, in the cases that a whole run of the notebook does not meet."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import app
from medqlora import errors
from medqlora.colab import notebook
from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.errors import PersistenceError, SessionError
from medqlora.persistence.storage_address import StorageAddress, read_mirror
from medqlora.persistence.workspace import Workspace
from medqlora.services import Services, cells, page
from tests.colab.stand_ins import GOOGLE, HALF_GOOGLE, output_of, recorded_calls
from tests.waiting import wait_until

CHOOSE = """
import os
from medqlora.colab.notebook import choose_workspace
from medqlora.errors import SessionError
try:
    print(choose_workspace(os.environ["WORKSPACE"], keep_on_drive=True))
except SessionError as error:
    print(error.message, error.hint)
"""
INSTALL_ON = """
import sys
sys.version_info = {version}
sys.prefix = {prefix}
from medqlora.colab import notebook
from medqlora.errors import SessionError
try:
    notebook.install()
except SessionError as error:
    print(error.message)
"""


def test_drive_is_asked_for_and_gets_copies_while_the_workspace_stays_here(tmp_path: Path) -> None:
    calls = tmp_path / "calls.jsonl"
    place = tmp_path / "mine"
    said = output_of(CHOOSE, GOOGLE, COLAB_CALLS=str(calls), WORKSPACE=str(place))
    assert said.splitlines()[-1] == str(place)
    assert "Runs are copied to Drive in the background" in said
    assert "a delay of its own" in said
    assert recorded_calls(calls) == [{"call": "mount", "mountpoint": "/content/drive"}]
    mirror = read_mirror(Workspace(place))
    assert mirror == StorageAddress("mounted", "/content/drive/MyDrive/medqlora-mirror")
    # The stand-in mounts nothing, and a folder beside the lost drive is never made up.
    assert not Path("/content/drive").exists()


def test_another_place_can_be_named_and_is_given_up_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "mine"
    notebook.choose_workspace(str(place), keep_on_drive=False, mirror=f"{tmp_path}/backup")
    assert f"Runs are copied to {tmp_path}/backup" in capsys.readouterr().out
    notebook.choose_workspace(str(place), keep_on_drive=False)
    assert read_mirror(Workspace(place)) is None
    monkeypatch.setenv("MEDQLORA_MIRROR", f"{tmp_path}/hospital")
    notebook.choose_workspace(str(place), keep_on_drive=False)
    assert read_mirror(Workspace(place)) == StorageAddress("local", f"{tmp_path}/hospital")


@pytest.mark.parametrize(
    ("stand_ins", "message"),
    [
        ((), "cannot be reached from here"),
        ((HALF_GOOGLE,), "cannot be reached from here"),
        ((GOOGLE,), "could not be opened"),
    ],
)
def test_without_a_drive_the_way_out_is_said(
    stand_ins: tuple[Path, ...], message: str, tmp_path: Path
) -> None:
    calls = str(tmp_path / "calls.jsonl")
    place = str(tmp_path / "mine")
    said = output_of(
        CHOOSE, *stand_ins, COLAB_CALLS=calls, COLAB_DRIVE_REFUSED="1", WORKSPACE=place
    )
    assert message in said
    assert "Untick keep_on_drive" in said


def test_a_workspace_of_this_session_is_said_to_be_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert notebook.choose_workspace(str(tmp_path), keep_on_drive=False) == tmp_path
    assert "It is lost when this Colab session ends." in capsys.readouterr().out


@pytest.mark.parametrize("stand_ins", [(), (HALF_GOOGLE,)])
def test_a_file_that_cannot_be_downloaded_is_still_named(stand_ins: tuple[Path, ...]) -> None:
    code = "from pathlib import Path; from medqlora.colab.notebook import offer_download as offer;"
    said = output_of(code + "offer(Path('/x/adapter.zip'))", *stand_ins)
    assert said.startswith("Saved: /x/adapter.zip\n")
    assert "list of files" in said


def test_python_3_10_is_refused_in_the_same_words_in_the_notebook_and_at_the_start() -> None:
    said = output_of(INSTALL_ON.format(version=(3, 10, 14), prefix="sys.prefix"))
    assert said.strip() == app.refusal_of_python((3, 10)).splitlines()[0]


def test_the_systems_own_python_is_left_alone() -> None:
    said = output_of(INSTALL_ON.format(version=(3, 12, 1), prefix="sys.base_prefix"))
    assert "where medqlora installs nothing" in said


def test_a_mistake_is_two_lines_in_a_notebook() -> None:
    error = errors.ConfigError("rank must be between 4 and 128, got 512.", hint="16 suits most.")
    assert error._render_traceback_() == [error.message, error.hint]


def test_a_page_that_cannot_start_says_why_in_the_cell(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SessionError, match="ended before it could be opened"):
            page.start_page(workspace.root, port=port, share_link=False)
    assert f"Port {port} is in use" in capsys.readouterr().out
    assert page.stop_page(workspace.root) is False


def test_the_page_is_shared_only_when_the_box_is_ticked(tmp_path: Path) -> None:
    command = page.page_command(tmp_path, port=7861, share_link=True)
    options = app.parse(command[2:])
    assert (options.port, options.workspace, options.share) == (7861, tmp_path, True)
    assert "--share" not in page.page_command(tmp_path, port=7861, share_link=False)


def test_what_the_password_of_the_public_link_opens_is_said_before_the_link_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SessionError):
        cells.open_page(tmp_path, port=taken.getsockname()[1], share_link=True)
    assert capsys.readouterr().out.startswith("The public link asks everybody who they are.")


def test_running_the_cell_again_replaces_the_page(workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    try:
        page.start_page(workspace.root, port=port, share_link=False)
        first = page.recorded_process(workspace.root / "page.json")
        page.start_page(workspace.root, port=port, share_link=False)
        second = page.recorded_process(workspace.root / "page.json")
        assert first is not None
        assert second is not None
        assert second.pid != first.pid
        assert not first.is_running() or first.status() == psutil.STATUS_ZOMBIE
        assert page.answers(port)
    finally:
        assert page.stop_page(workspace.root) is True
    assert not page.answers(port)


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """A kernel hears interrupts; a background job of a shell inherits that they are ignored."""
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)


@pytest.mark.usefixtures("_interruptible")
def test_an_interrupted_cell_keeps_a_checkpoint_and_resume_goes_on(
    tiny_workspace: Workspace, qa_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    services = Services.open(tiny_workspace.root)
    card = services.datasets.prepare(qa_file)
    config = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=60, max_seq_length=128)

    def interrupt_once_it_trains() -> None:
        wait_until(lambda: any(run.step >= 2 for run in services.training.runs()))
        os.kill(os.getpid(), signal.SIGINT)

    user = threading.Thread(target=interrupt_once_it_trains)
    user.start()
    stopped = cells.train(services, config, card.dataset_id)
    user.join()
    assert services.training.snapshot(stopped).state == "stopped"
    with pytest.raises(PersistenceError, match="no adapter yet"):
        cells.save(services, stopped)

    # What a restarted kernel would do.
    restarted = Services.open(tiny_workspace.root)
    assert cells.resume(restarted) == stopped
    assert restarted.training.snapshot(stopped).state == "succeeded"
    assert "step 60 of 60" in capsys.readouterr().out
    assert cells.save(restarted, stopped).is_file()
    with pytest.raises(PersistenceError, match="was interrupted"):
        cells.resume(restarted)

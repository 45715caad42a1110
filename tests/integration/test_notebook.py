"""The Colab notebook: valid, short, honest, and every cell runs from the first to the last."""

from __future__ import annotations

import os
import re
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from medqlora.persistence.workspace import Workspace
from medqlora.services.page import stop_page
from tests.colab.stand_ins import GOOGLE, HALF_GOOGLE, PROJECT, recorded_calls

NOTEBOOK = PROJECT / "colab_launcher.ipynb"
LONGEST_CELL = 12
KEEP_ALIVE = re.compile(
    r"setInterval|setTimeout|\.click\(|keep.?alive|eval_js|Javascript|while True|ngrok|cloudflared",
    re.IGNORECASE,
)


def read() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def sources() -> dict[str, str]:
    return {cell.id: cell.source for cell in read().cells}


def filled_in(notebook: nbformat.NotebookNode, **answers: object) -> nbformat.NotebookNode:
    """The notebook after a user has filled in its forms: Colab rewrites the line of the box."""
    for name, answer in answers.items():
        box = re.compile(rf"^{name} = .*?(?=  #@param)", re.MULTILINE)
        cells = [cell for cell in notebook.cells if box.search(cell.source)]
        assert cells, f"no cell has a box called {name}"
        for cell in cells:
            cell.source = box.sub(lambda _, line=f"{name} = {answer!r}": line, cell.source)
    return notebook


def without(notebook: nbformat.NotebookNode, *unwanted: str) -> nbformat.NotebookNode:
    notebook.cells = [cell for cell in notebook.cells if cell.id not in unwanted]
    return notebook


def printed(notebook: nbformat.NotebookNode) -> dict[str, str]:
    return {
        cell.id: "".join(one.get("text", "") for one in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel to come finds the stand-in of `google.colab`, which writes its calls here."""
    file = tmp_path / "calls.jsonl"
    monkeypatch.setenv("COLAB_CALLS", str(file))
    monkeypatch.setenv("PYTHONPATH", str(GOOGLE))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return file


@pytest.fixture
def place(tiny_workspace: Workspace) -> Iterator[Path]:
    """A workspace whose page is gone afterwards, whatever happens."""
    yield tiny_workspace.root
    stop_page(tiny_workspace.root)


def test_it_is_a_valid_notebook_without_stored_output() -> None:
    notebook = read()
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            assert cell.source.startswith("#@title")


def test_cells_are_short_enough_not_to_frighten() -> None:
    assert len(read().cells) <= 16
    for cell in read().cells:
        if cell.cell_type == "code":
            lines = [line for line in cell.source.splitlines() if not line.startswith("#@")]
            assert len(lines) <= LONGEST_CELL, cell.id


def test_it_states_colabs_rule_and_holds_no_keep_alive_trick() -> None:
    texts = sources()
    assert "bypassing the\nnotebook UI to interact primarily via a web UI" in texts["about"]
    assert "not a medical device" in texts["about"]
    for name, text in texts.items():
        assert not KEEP_ALIVE.search(text), name


def test_the_share_link_is_ticked_and_its_login_is_said_beside_it() -> None:
    assert re.search(r"^share_link = True  #@param", sources()["page"], re.MULTILINE)
    assert "prints two links with passwords" in sources()["page"]


def test_running_all_cells_leaves_the_page_open() -> None:
    assert re.search(r"^stop = False  #@param", sources()["stop"], re.MULTILINE)


@pytest.mark.slow
def test_every_cell_runs_from_the_first_to_the_last(place: Path, calls: Path, port: int) -> None:
    """Without the network: the share link is unticked, the model is the tiny one."""
    notebook = filled_in(
        read(),
        folder=str(PROJECT),
        workspace=str(place),
        share_link=False,
        port=port,
        stop=True,
        max_steps=3,
        how_many=2,
    )
    run(notebook, place.parent)
    said = printed(notebook)

    assert "medqlora is installed." in said["install"]
    assert "RAM: " in said["machine"]
    assert f"medqlora is ready: http://127.0.0.1:{port}" in said["page"]
    assert said["stop"].endswith("The page is stopped.\n")
    assert "held out" in said["data"]
    assert "learning_rate" in said["configure"]
    assert "step 3 of 3, loss" in said["train"]
    assert "2 answers scored" in said["evaluate"]
    base, tuned = said["compare"].split("BEFORE TRAINING\n")[1].split("\n\nAFTER TRAINING\n")
    assert base.strip()
    assert tuned.strip()

    frame, download = recorded_calls(calls)
    assert frame == {"call": "frame", "port": port, "height": "900", "status": 200, "has_app": True}
    [adapter] = place.glob("runs/*/adapter")
    archive = Path(download["filename"])
    assert archive.name == f"{adapter.parent.name}-adapter.zip"
    with zipfile.ZipFile(archive) as packed:
        assert "adapter/adapter_model.safetensors" in packed.namelist()
        assert "adapter/metadata.json" in packed.namelist()


@pytest.mark.slow
def test_the_page_starts_where_colab_half_works_and_a_mistake_is_two_lines(
    place: Path, calls: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.fspath(HALF_GOOGLE))
    notebook = filled_in(
        without(read(), "stop", "configure", "train", "evaluate", "compare", "save"),
        folder=str(PROJECT),
        workspace=str(place),
        share_link=False,
        port=port,
        dataset="/nowhere/pairs.csv",
    )
    with pytest.raises(CellExecutionError) as caught:
        run(notebook, place.parent)
    said = printed(notebook)
    assert f"http://127.0.0.1:{port}" in said["page"]
    assert "cannot show the page in a frame" in said["page"]
    assert "pairs.csv cannot be read" in str(caught.value)
    [failed] = [
        one
        for cell in notebook.cells
        for one in cell.get("outputs", ())
        if one.output_type == "error"
    ]
    assert len(failed.traceback) == 2
    assert "Traceback" not in str(caught.value).partition("\n------------------\n")[2]

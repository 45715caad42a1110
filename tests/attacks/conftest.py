"""The real app, on this machine alone and where others can reach it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from medqlora.persistence.workspace import Workspace
from tests.running_app import App, free_port


@pytest.fixture(scope="module")
def reachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app that listens on every address of the machine."""
    yield from _running(tmp_path_factory, "--host", "0.0.0.0")


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app for this machine alone."""
    yield from _running(tmp_path_factory)


def _running(tmp_path_factory: pytest.TempPathFactory, *options: str) -> Iterator[App]:
    workspace = Workspace.open(tmp_path_factory.mktemp("attacked") / "workspace")
    app = App(workspace.root, free_port(), options)
    app.start()
    yield app
    app.stop()

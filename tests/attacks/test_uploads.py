"""What is too large never stays on the disk, and the page goes on."""

from __future__ import annotations

import os
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from medqlora.persistence.workspace import Workspace
from tests.running_app import App, free_port
from tests.waiting import wait_until

MEGABYTE = 1_000_000
BOUNDARY = "medqlora-boundary"


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app that takes files of at most 3 MB, with a temporary folder of its own."""
    folder = tmp_path_factory.mktemp("narrow")
    temporary = folder / "tmp"
    temporary.mkdir()
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(temporary)
    app = App(Workspace.open(folder / "workspace").root, free_port(), ("--max-upload-mb", "3"))
    app.start()
    yield app
    app.stop()
    os.environ.pop("TMPDIR") if before is None else os.environ.update(TMPDIR=before)


def upload(app: App, num_bytes: int) -> int:
    """Status of an upload of so many bytes."""
    head = (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=files; filename=a.csv\r\n"
        "Content-Type: text/csv\r\n\r\n"
    ).encode()
    body = head + b"q,a\n" + b"x" * num_bytes + f"\r\n--{BOUNDARY}--\r\n".encode()
    asked = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", app.port), timeout=60) as connection:
        connection.sendall(asked)
        # A refusal comes before everything was sent.
        with suppress(ConnectionError):
            connection.sendall(body)
        return int(connection.recv(4096).split(b" ")[1])


def bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(narrow: App) -> None:
    temporary = narrow.workspace.parent / "tmp"
    before = bytes_in(temporary)
    assert upload(narrow, 8 * MEGABYTE) == 413
    wait_until(lambda: bytes_in(temporary) < before + MEGABYTE, seconds=20)
    with urllib.request.urlopen(narrow.url + "config", timeout=10) as answer:
        assert answer.status == 200


def test_a_file_under_the_limit_is_taken(narrow: App) -> None:
    assert upload(narrow, 2 * MEGABYTE) == 200

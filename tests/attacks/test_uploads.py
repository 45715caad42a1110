"""What is too large never stays on the disk, and the page goes on."""

from __future__ import annotations

import gzip
import os
import pickle
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
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


def test_a_form_without_a_file_is_no_fault_of_the_server(narrow: App) -> None:
    answer = httpx.post(
        narrow.url + "gradio_api/upload",
        content=f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"\r\n\r\ntext\r\n'
        f"--{BOUNDARY}--\r\n".encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
    )
    assert answer.status_code == 400
    assert "This is not an upload." in answer.text
    assert "Traceback" not in narrow.log.read_text()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("pairs.csv", b"\x7fELF\x02\x01\x01" + b"\0" * 60, "a program"),
        ("pairs.json", b"MZ\x90\0" + b"\0" * 60, "a Windows program"),
        ("pairs.xlsx", b"\x89PNG\r\n\x1a\n" + b"\0" * 60, "a picture"),
        ("pairs.jsonl", pickle.dumps({"question": "a"}), "a Python pickle"),
        ("pairs.parquet", b"\x80\x04\x95" + b"\0" * 60, "a Python pickle"),
        ("pairs.txt", bytes(range(256)) * 4, "of no kind that can be read"),
        ("pairs.tsv", b"<!doctype html><script>alert(1)</script>", "a web page"),
        ("pairs.zip", b"PK\x03\x04" + b"\0" * 60, "damaged"),
    ],
)
def test_what_is_no_table_is_refused_by_its_content_and_gone_at_once(
    narrow: App, name: str, content: bytes, kind: str
) -> None:
    temporary = narrow.workspace.parent / "tmp"
    good = ("files", ("good.csv", b"question,answer\nWhat is it?,It is that.\n"))
    before = set(temporary.rglob("*.*"))
    answer = httpx.post(
        narrow.url + "gradio_api/upload",
        files=[good, ("files", (name, content))],
        timeout=30,
        trust_env=False,
    )
    assert answer.status_code == 415
    assert kind in answer.text
    assert "Traceback" not in answer.text
    assert {one for one in temporary.rglob("*.*") if one.is_file()} <= before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("no-ending", b'{"question": "What is it?", "answer": "It is that."}\n' * 3),
        ("table.xml", "question;answer\nWie heißt es?;So.\n".encode("utf-16")),
        ("packed.gz", gzip.compress(b"question,answer\na,b\n")),
    ],
)
def test_data_is_taken_whatever_it_is_called(narrow: App, name: str, content: bytes) -> None:
    answer = httpx.post(
        narrow.url + "gradio_api/upload",
        files={"files": (name, content)},
        timeout=30,
        trust_env=False,
    )
    assert answer.status_code == 200
    assert Path(answer.json()[0]).read_bytes() == content

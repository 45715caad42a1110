"""A page that others can reach asks everybody for the password, at every door.

Only `/login`, the login page's own files and a heartbeat that says nothing answer without it.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from medqlora.persistence.workspace import Workspace
from tests.running_app import App, free_port
from tests.waiting import wait_until

DOORS = (
    "config",
    "gradio_api/info",
    "gradio_api/queue/data?session_hash=a",
    "gradio_api/file=/etc/hostname",
    "gradio_api/upload_progress?upload_id=a",
    "monitoring/summary",
)


@pytest.fixture(scope="module")
def reachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app that listens on every address of the machine."""
    workspace = Workspace.open(tmp_path_factory.mktemp("reachable") / "workspace")
    app = App(workspace.root, free_port(), ("--host", "0.0.0.0"))
    app.start()
    yield app
    app.stop()


def status(app: App, path: str, *, cookie: str = "", data: bytes | None = None) -> int:
    request = urllib.request.Request(app.url + path, data=data, headers={"Cookie": cookie})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def password_of(app: App) -> str:
    # Printed a moment after the page answers.
    wait_until(lambda: "Login: " in app.log.read_text(), seconds=10)
    return re.findall(r"^Login: user owner, password (\S+)$", app.log.read_text(), re.MULTILINE)[-1]


def login(app: App, password: str) -> str:
    """The session's cookie."""
    data = urllib.parse.urlencode({"username": "owner", "password": password}).encode()
    with urllib.request.urlopen(app.url + "login", data=data, timeout=10) as answer:
        return "; ".join(one.partition(";")[0] for one in answer.headers.get_all("Set-Cookie", []))


@pytest.mark.parametrize("door", DOORS)
def test_without_the_password_every_door_is_shut(reachable: App, door: str) -> None:
    assert status(reachable, door) == 401


def test_handlers_and_uploads_are_shut_as_well(reachable: App) -> None:
    call = json.dumps({"data": [], "fn_index": 0, "session_hash": "a"}).encode()
    for door in ("gradio_api/queue/join", "gradio_api/upload", "gradio_api/run/predict"):
        assert status(reachable, door, data=call) == 401


def test_a_wrong_password_is_refused_and_the_printed_one_opens(reachable: App) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        login(reachable, "guess")
    assert refused.value.code == 400
    assert status(reachable, "config", cookie=login(reachable, password_of(reachable))) == 200


def test_the_password_has_at_least_128_bits_and_is_new_at_every_start(
    reachable: App, tmp_path: Path
) -> None:
    # 4 characters of base64 are 3 bytes.
    assert len(password_of(reachable)) * 6 >= 128
    other = App(Workspace.open(tmp_path / "w").root, free_port(), ("--host", "0.0.0.0"))
    other.start()
    try:
        assert password_of(other) != password_of(reachable)
    finally:
        other.stop()


def test_on_this_machine_alone_there_is_no_login(tmp_path: Path) -> None:
    app = App(Workspace.open(tmp_path / "w").root, free_port())
    app.start()
    try:
        assert status(app, "config") == 200
        assert "Login:" not in app.log.read_text()
    finally:
        app.stop()

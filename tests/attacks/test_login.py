"""A page that others can reach asks everybody who they are, at every door."""

from __future__ import annotations

import httpx
import pytest

from medqlora.persistence.workspace import Workspace
from tests.attacks.visits import ROLES, printed, stranger, visitor
from tests.running_app import App, free_port

DOORS = (
    "config",
    "gradio_api/info",
    "gradio_api/queue/data?session_hash=a",
    "gradio_api/file=/etc/hostname",
    "gradio_api/upload_progress?upload_id=a",
    "gradio_api/heartbeat/a",
    "monitoring/summary",
    "page/page.js",
    "openapi.json",
    "gradio_api/app_id",
)


def status(app: App, path: str) -> int:
    return stranger(app).get(path).status_code


def sign_in(client: httpx.Client, password: str) -> httpx.Response:
    return client.post("login", data={"username": "owner", "password": password})


@pytest.mark.parametrize("door", DOORS)
def test_without_the_password_every_door_is_shut(reachable: App, door: str) -> None:
    assert status(reachable, door) == 401


def test_handlers_and_uploads_are_shut_as_well(reachable: App) -> None:
    body = {"data": [], "fn_index": 0, "session_hash": "a"}
    for door in ("gradio_api/queue/join", "gradio_api/run/predict", "gradio_api/cancel"):
        assert stranger(reachable).post(door, json=body).status_code == 401
    assert stranger(reachable).post("gradio_api/upload", files={"files": b"a"}).status_code == 401


def test_a_stranger_sees_a_plain_form_that_says_what_this_is_not(reachable: App) -> None:
    page = stranger(reachable, follow_redirects=True).get("")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert '<label for="password">' in page.text
    assert "not a medical device" in page.text


@pytest.mark.parametrize("role", ROLES)
def test_each_role_comes_in_by_its_link_and_by_its_password(reachable: App, role: str) -> None:
    assert visitor(reachable, role).get("config").status_code == 200
    client = stranger(reachable)
    answer = sign_in(client, printed(reachable, role).password)
    assert answer.json() == {"success": True}
    assert client.get("config").status_code == 200


def test_the_secrets_have_at_least_128_bits_and_are_new_at_every_start(
    reachable: App, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("other")
    other = App(Workspace.open(folder / "w").root, free_port(), ("--host", "0.0.0.0"))
    other.start()
    try:
        both = [printed(app, role) for app in (reachable, other) for role in ROLES]
    finally:
        other.stop()
    made = [one.token for one in both] + [one.password for one in both]
    # 4 characters of base64 are 3 bytes.
    assert all(len(secret) * 6 >= 128 for secret in made)
    assert len(set(made)) == len(made)


def test_the_cookie_is_for_this_page_alone_and_secure_behind_https(reachable: App) -> None:
    token = printed(reachable, "owner").token

    def cookie(**headers: str) -> str:
        answer = stranger(reachable).get("enter", params={"key": token}, headers=headers)
        return answer.headers["set-cookie"]

    plain = cookie()
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" in cookie(**{"X-Forwarded-Proto": "https"})
    framed = cookie(**{"X-Forwarded-Proto": "https", "Sec-Fetch-Dest": "iframe"})
    assert "SameSite=None; Secure; Partitioned" in framed


def test_signing_out_ends_the_session_on_the_server(reachable: App) -> None:
    client = visitor(reachable, "owner")
    kept = dict(client.cookies)
    assert client.post("logout").status_code == 303
    assert stranger(reachable, cookies=kept).get("config").status_code == 401


def test_five_wrong_passwords_lock_their_client_out_and_nobody_else(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("guessed")
    app = App(Workspace.open(folder / "w").root, free_port(), ("--host", "0.0.0.0"))
    app.start()
    try:
        right = printed(app, "owner")
        guesser = stranger(app, headers={"X-Forwarded-For": "203.0.113.7"})
        said = [sign_in(guesser, f"guess {n}").status_code for n in range(100)]
        assert said == [401] * 5 + [429] * 95
        # Even the right one, from there.
        assert sign_in(guesser, right.password).status_code == 429
        assert sign_in(stranger(app), right.password).status_code == 200

        # Ever new addresses: the form closes for all, and the link still opens.
        answers = [
            sign_in(stranger(app, headers={"X-Forwarded-For": f"198.51.100.{n}"}), "guess")
            for n in range(40)
        ]
        assert answers[-1].status_code == 429
        assert visitor(app, "owner").get("config").status_code == 200
        log = (app.workspace / "audit.jsonl").read_text() + app.log.read_text()
        assert "locked out" in log
        assert "guess" not in log.replace("guessed", "")
    finally:
        app.stop()


def test_on_this_machine_alone_there_is_no_login(private: App) -> None:
    assert status(private, "config") == 200
    assert "Login:" not in private.log.read_text()
    assert "enter?key" not in private.log.read_text()

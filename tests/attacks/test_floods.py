"""One visitor who floods the page does not keep another from using it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from medqlora.data.prompts import clinical_prompts
from tests.attacks.visits import call, handler_of, stranger, visitor
from tests.page_client import PageClient
from tests.running_app import App
from tests.waiting import wait_until
from ui.door import bodies
from ui.door.connections import HEADER_SECONDS, MOST_WAITING
from ui.door.requests import RefusedCall

QUICK_SECONDS = 2.0
QUESTION = next(iter(clinical_prompts().values()))[0]


def usable(app: App) -> float:
    """Opens the page anew as another visitor, presses a button, and says how long that took."""
    page = PageClient(app.url)
    begun = time.perf_counter()
    try:
        assert page.do("compare-question", "input", QUESTION) == [QUESTION]
    finally:
        page.close()
    return time.perf_counter() - begun


async def many(url: str, number: int, ask: Any) -> Counter[int]:
    """So many requests of one visitor, 50 at a time; their statuses."""
    limit = asyncio.Semaphore(50)
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        await client.get("config")

        async def one(n: int) -> int:
            async with limit:
                return (await ask(client, n)).status_code

        return Counter(await asyncio.gather(*(one(n) for n in range(number))))


def test_a_thousand_calls(private: App) -> None:
    config = stranger(private).get("config").json()
    handler = handler_of(config, "compare-clear")
    tab = secrets.token_hex(6)
    body = {"data": [], "fn_index": handler["id"], "session_hash": tab}

    async def ask(client: httpx.AsyncClient, _: int) -> httpx.Response:
        return await client.post("gradio_api/queue/join", json=body)

    said = asyncio.run(many(private.url, 1000, ask))
    assert said[429] > 500, said
    assert set(said) <= {200, 429}
    assert usable(private) < QUICK_SECONDS


def test_a_thousand_calls_of_as_many_tabs(private: App) -> None:
    handler = handler_of(stranger(private).get("config").json(), "compare-clear")

    async def ask(client: httpx.AsyncClient, n: int) -> httpx.Response:
        body = {"data": [], "fn_index": handler["id"], "session_hash": f"flood{n}"}
        return await client.post("gradio_api/queue/join", json=body)

    said = asyncio.run(many(private.url, 1000, ask))
    assert set(said) <= {200, 429}, said
    assert usable(private) < QUICK_SECONDS


def test_a_thousand_uploads(private: App) -> None:
    async def ask(client: httpx.AsyncClient, n: int) -> httpx.Response:
        return await client.post("gradio_api/upload", files={"files": (f"{n}.csv", b"q,a\n")})

    said = asyncio.run(many(private.url, 1000, ask))
    assert said[200] < 150, said
    assert set(said) <= {200, 429}
    assert usable(private) < QUICK_SECONDS


def test_too_many_files_in_one_upload(private: App) -> None:
    files = [("files", (f"{n}.csv", b"q,a\n")) for n in range(200)]
    assert stranger(private).post("gradio_api/upload", files=files).status_code == 413


def test_an_upload_has_to_say_how_large_it_is(private: App) -> None:
    def parts() -> Iterator[bytes]:
        yield b"--b\r\nContent-Disposition: form-data; name=files; filename=a.csv\r\n\r\nq,a"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = stranger(private).post("gradio_api/upload", content=parts(), headers=headers)
    assert answer.status_code == 411


def test_five_hundred_heartbeats(private: App) -> None:
    async def flood() -> tuple[int, float]:
        limits = httpx.Limits(max_connections=600)
        async with httpx.AsyncClient(
            base_url=private.url, timeout=60, trust_env=False, limits=limits
        ) as client:
            await client.get("config")
            opened: list[httpx.Response] = []
            for n in range(500):
                request = client.build_request("GET", f"gradio_api/heartbeat/beat{n}")
                opened.append(await client.send(request, stream=True))
            taken = sum(one.status_code == 200 for one in opened)
            seconds = await asyncio.to_thread(usable, private)
            for one in opened:
                await one.aclose()
            return taken, seconds

    taken, seconds = asyncio.run(flood())
    assert taken <= 128
    assert seconds < QUICK_SECONDS


def test_two_hundred_slow_senders(private: App) -> None:
    held = []
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", private.port), timeout=10)
            )
            connection.sendall(
                b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
            )
            held.append(connection)
        assert usable(private) < QUICK_SECONDS


def is_ended(connection: socket.socket) -> bool:
    """Whether the server has ended a connection that says nothing itself."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_connections_that_never_ask_make_room_for_those_that_do(private: App) -> None:
    number = 900  # this process may have a thousand files open
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(number):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", private.port), timeout=10)
            )
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ")
            held.append(connection)
        assert usable(private) < QUICK_SECONDS
        wait_until(lambda: sum(map(is_ended, held)) >= number - MOST_WAITING, seconds=10)


def test_headers_that_trickle_are_not_waited_for(private: App) -> None:
    with socket.create_connection(("127.0.0.1", private.port), timeout=10) as connection:
        begun = time.monotonic()
        connection.sendall(b"GET / HTTP/1.1\r\n")
        while not is_ended(connection):
            assert time.monotonic() - begun < 2 * HEADER_SECONDS
            with contextlib.suppress(ConnectionError):
                connection.send(b"X-Slow: 1\r\n")
            time.sleep(1)
    assert usable(private) < QUICK_SECONDS


@pytest.mark.parametrize("pause", [10.0, 0.02])
def test_a_body_that_stands_still_or_trickles_is_given_up(
    monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    monkeypatch.setattr(bodies, "SILENT_SECONDS", 0.2)

    async def receive() -> bodies.Message:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def read() -> None:
        take = bodies.bounded(receive)
        while True:
            await take()

    begun = time.monotonic()
    with pytest.raises(RefusedCall, match="took too long"):
        asyncio.run(asyncio.wait_for(read(), 5))
    assert time.monotonic() - begun >= 0.2


def test_questions_of_one_reviewer_leave_room_for_those_of_others(reachable: App) -> None:
    reviewer = visitor(reachable, "reviewer")
    handler = handler_of(reviewer.get("config").json(), "compare-send")
    said: list[int] = []

    def ask() -> None:
        said.append(call(reviewer, handler).status_code)

    threads = [threading.Thread(target=ask) for _ in range(60)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert set(said) <= {200, 429}
    assert visitor(reachable, "owner").get("config").elapsed.total_seconds() < QUICK_SECONDS


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"[" * 100_000,
        b'{"data": {}, "fn_index": 0, "session_hash": "a"}',
        b'{"data": [], "fn_index": true, "session_hash": "a"}',
        b'{"data": [], "fn_index": 0.5, "session_hash": "a"}',
        b'{"data": [], "fn_index": -1, "session_hash": "a"}',
        b'{"data": [], "fn_index": 99999, "session_hash": "a"}',
        b'{"data": [], "fn_index": 0, "session_hash": "../../a"}',
        b'{"data": [], "fn_index": 0, "session_hash": null}',
        b'{"data": [], "fn_index": 0, "session_hash": "' + b"a" * 100 + b'"}',
        b'{"data": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15], "fn_index": 1, "session_hash": "a"}',
    ],
)
def test_what_is_not_a_call_is_refused_in_one_sentence(private: App, body: bytes) -> None:
    answer = stranger(private).post(
        "gradio_api/queue/join", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 404)
    assert "Traceback" not in answer.text
    assert answer.json()["detail"].endswith(".")


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ({"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, 400),
        ({"path": "../../etc/passwd", "meta": {"_type": "gradio.FileData"}}, 400),
        ({"path": "\0", "meta": {"_type": "gradio.FileData"}}, 400),
        ({"url": "http://169.254.169.254/latest", "meta": {"_type": "gradio.FileData"}}, 400),
        ({"path": "http://127.0.0.1:1/", "meta": {"_type": "gradio.FileData"}}, 400),
        ("x" * 300_000, 413),
        (float("nan"), 400),
        (10**400, 400),
        ([0] * 10_000, 413),
        (json.loads("[" * 50 + "]" * 50), 413),
    ],
)
def test_a_value_that_no_control_gives_reaches_no_handler(
    private: App, value: Any, status: int
) -> None:
    client = stranger(private)
    handler = handler_of(client.get("config").json(), "dataset-file", "upload")
    body = json.dumps({"data": [value], "fn_index": handler["id"], "session_hash": "values"})
    answer = client.post(
        "gradio_api/queue/join", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == status, answer.text


def test_the_server_fetches_nothing_that_a_file_points_to(private: App) -> None:
    client = stranger(private)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(3)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        stored = client.post("gradio_api/upload", files={"files": ("a.csv", b"q,a\n")}).json()[0]
        handler = handler_of(client.get("config").json(), "dataset-file", "upload")
        for value in (
            {"path": stored, "url": url, "meta": {"_type": "gradio.FileData"}},
            {"path": url, "meta": {"_type": "gradio.FileData"}},
        ):
            call(client, handler, [value])
        with pytest.raises(TimeoutError):
            listener.accept()

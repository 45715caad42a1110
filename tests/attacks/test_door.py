"""What a request may ask for: by role, by where it comes from, by what the page needs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.attacks.visits import call, handler_of, printed, stranger, visitor
from tests.running_app import App

EVIL = "https://evil.example"
REVIEWERS_CONTROLS = ("compare-", "review-")
GONE = (
    ("GET", "gradio_api/proxy=http://127.0.0.1:1/"),
    ("GET", "gradio_api/runs"),
    ("GET", "runs.html"),
    ("GET", "monitoring"),
    ("GET", "monitoring/summary"),
    ("GET", "openapi.json"),
    ("GET", "docs"),
    ("GET", "gradio_api/token"),
    ("GET", "gradio_api/deep_link?session_hash=a"),
    ("GET", "gradio_api/mcp/sse"),
    ("GET", "gradio_api/call/start/1"),
    ("GET", "gradio_api/vibe-code"),
    ("GET", "gradio_api/stream/a/b/1/playlist.m3u8"),
    ("GET", "gradio_api/dev/reload"),
    ("POST", "gradio_api/component_server"),
    ("POST", "gradio_api/process_recording"),
    ("POST", "gradio_api/stream/a"),
    ("POST", "gradio_api/vibe-edit"),
)
FILES = (
    "/etc/passwd",
    "/etc/hostname",
    "//etc/passwd",
    "../../../../etc/passwd",
    "/proc/self/environ",
    "file:///etc/passwd",
    "http://127.0.0.1:1/",
    "%2e%2e/%2e%2e/etc/passwd",
    "/tmp/../etc/passwd",
    "\\etc\\passwd",
)


def config_of(client: httpx.Client) -> dict[str, Any]:
    return dict(client.get("config").raise_for_status().json())


def names(config: dict[str, Any]) -> dict[int, str]:
    return {one["id"]: one["props"].get("elem_id") or "" for one in config["components"]}


def test_every_handler_of_the_page_is_shut_to_strangers_and_owners_ones_to_reviewers(
    reachable: App,
) -> None:
    config = config_of(visitor(reachable, "owner"))
    reviewer = visitor(reachable, "reviewer")
    named = names(config)
    assert len(config["dependencies"]) > 40
    allowed = set()
    for handler in config["dependencies"]:
        assert call(stranger(reachable), handler).status_code == 401
        answer = call(reviewer, handler)
        assert answer.status_code in (200, 403, 404, 429), answer.text
        if answer.status_code in (200, 429):
            allowed |= {named.get(number, "") for number, _ in handler["targets"] if number}
    assert allowed
    assert all(one.startswith(REVIEWERS_CONTROLS) or one == "tab-compare" for one in allowed)


def test_a_reviewers_page_is_told_of_compare_alone(reachable: App) -> None:
    client = visitor(reachable, "reviewer")
    page = client.get("").text
    found = re.search(r"window\.gradio_config = (\{.*?\});</script>", page, re.DOTALL)
    assert found is not None
    for config in (config_of(client), json.loads(found[1])):
        shown = {
            one["props"]["elem_id"]
            for one in config["components"]
            if one["type"] == "tabitem"
            and one["props"].get("visible")
            and str(one["props"]["elem_id"]).count("-") == 1
        }
        assert "tab-compare" in shown
        assert not shown & {f"tab-{one}" for one in ("dataset", "configure", "train", "monitor")}
        controls = names(config)
        used = {controls.get(n, "") for h in config["dependencies"] for n, _ in h["targets"]}
        assert not any(one.startswith(("dataset-", "train-", "owner-")) for one in used)


def test_reviewers_neither_upload_nor_fetch_files_of_others(reachable: App) -> None:
    client = visitor(reachable, "reviewer")
    assert client.post("gradio_api/upload", files={"files": b"a"}).status_code == 403
    assert client.get("gradio_api/file=/tmp/a").status_code == 403


def test_calls_past_the_queue_do_not_exist(private: App) -> None:
    client = stranger(private)
    config = config_of(client)
    for handler in config["dependencies"]:
        body = {"data": [None] * len(handler["inputs"]), "fn_index": handler["id"]}
        for way in ("run", "api", "call", "call/v2"):
            place = f"gradio_api/{way}/{handler['api_name']}"
            assert client.post(place, json=body).status_code == 404


@pytest.mark.parametrize(("method", "path"), GONE)
def test_what_the_page_does_not_need_is_not_there(private: App, method: str, path: str) -> None:
    assert stranger(private).request(method, path, json={}).status_code == 404


@pytest.mark.parametrize("path", FILES)
def test_no_file_of_the_machine_is_served(private: App, path: str) -> None:
    answer = stranger(private).get(f"gradio_api/file={path}")
    assert answer.status_code in (403, 404)
    assert "root:" not in answer.text


def test_files_of_the_workspace_and_of_the_program_are_not_served(private: App) -> None:
    (private.workspace / "note.txt").write_text("private")
    for path in (private.workspace / "note.txt", Path(__file__)):
        assert stranger(private).get(f"gradio_api/file={path}").status_code == 403


def test_another_site_can_neither_read_nor_do_anything(private: App, reachable: App) -> None:
    for app, host in ((private, None), (reachable, "abc.gradio.live")):
        client = visitor(app, "owner") if host else stranger(app)
        headers = {"Host": host} if host else {}
        handler = handler_of(config_of(client), "train-start")
        for sign in ({"Origin": EVIL}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
            client.headers.update({**headers, **sign})
            assert call(client, handler).status_code == 403
            assert client.get("config").status_code == 403
            assert client.post("gradio_api/upload", files={"files": b"a"}).status_code == 403
            for name in sign:
                del client.headers[name]
        asked = {**headers, "Origin": EVIL, "Access-Control-Request-Method": "POST"}
        for answer in (
            client.options("gradio_api/queue/join", headers=asked),
            client.get("config", headers={**headers, "Origin": EVIL}),
        ):
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers


def test_a_link_from_another_site_opens_the_page(reachable: App) -> None:
    seen = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert stranger(reachable, headers=seen).get("login").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_a_name_that_was_turned_to_this_machine_is_refused(private: App, host: str) -> None:
    answer = stranger(private).get("config", headers={"Host": host})
    assert answer.status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}"])
def test_this_machines_own_names_are_fine(private: App, host: str) -> None:
    named = host.format(port=private.port)
    assert stranger(private).get("config", headers={"Host": named}).status_code == 200


def test_colabs_window_may_ask_and_another_site_through_it_may_not(private: App) -> None:
    window = {"Host": "m-1.colab-user-runtimes.internal", "Origin": "https://7860-m.prod.colab.dev"}
    same, cross = {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "cross-site"}
    assert stranger(private).get("config", headers={**window, **same}).status_code == 200
    assert stranger(private).get("config", headers={**window, **cross}).status_code == 403
    evil = {**window, **same, "Origin": EVIL}
    assert stranger(private).get("config", headers=evil).status_code == 403


def test_what_one_browser_tab_is_told_no_other_visitor_can_hear(reachable: App) -> None:
    mine, other = visitor(reachable, "owner"), visitor(reachable, "owner")
    handler = handler_of(config_of(mine), "compare-clear")
    assert call(mine, handler, session_hash="mine123").status_code == 200
    assert call(other, handler, session_hash="mine123").status_code == 403
    assert other.get("gradio_api/queue/data?session_hash=mine123").status_code == 403
    assert other.get("gradio_api/heartbeat/mine123").status_code == 403
    stolen = {"session_hash": "mine123", "fn_index": handler["id"], "event_id": "a"}
    assert other.post("gradio_api/cancel", json=stolen).status_code == 403


def test_every_answer_carries_the_headers_that_keep_the_page_together(reachable: App) -> None:
    for path in ("", "login", "config", "nowhere"):
        headers = stranger(reachable).get(path).headers
        policy = headers["content-security-policy"]
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
        assert "frame-ancestors 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_reviewers_who_come_in_again_and_again_push_no_owner_out(reachable: App) -> None:
    owner = visitor(reachable, "owner")
    key = {"key": printed(reachable, "reviewer").token}
    again = stranger(reachable)
    assert {again.get("enter", params=key).status_code for _ in range(520)} == {303}
    assert owner.get("config").status_code == 200


@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE", "OPTIONS"])
def test_a_link_lets_in_whoever_opens_it_and_nothing_that_only_looks_at_it(
    reachable: App, method: str
) -> None:
    key = {"key": printed(reachable, "reviewer").token}
    answer = stranger(reachable).request(method, "enter", params=key)
    assert answer.status_code == 405
    assert "set-cookie" not in answer.headers


def test_revoked_reviewers_are_out_at_once(reachable: App) -> None:
    owner, reviewer = visitor(reachable, "owner"), visitor(reachable, "reviewer")
    assert reviewer.get("config").status_code == 200
    assert call(owner, handler_of(config_of(owner), "owner-renew"), ["8 hours"]).status_code == 200
    for _ in range(50):
        if reviewer.get("config").status_code == 401:
            break
    assert reviewer.get("config").status_code == 401


@pytest.mark.parametrize("body", [b'{"fn_index":NaN}', b"[" * 100_000, b"", b"\xff\xfe", b"null"])
@pytest.mark.parametrize("place", ["queue/join", "cancel", "reset"])
def test_no_body_makes_the_server_stumble(reachable: App, place: str, body: bytes) -> None:
    json_type = {"content-type": "application/json"}
    client = visitor(reachable, "owner")
    answer = client.post(f"gradio_api/{place}", content=body, headers=json_type)
    assert answer.status_code == (200 if place == "reset" else 400)
    assert "Traceback" not in reachable.log.read_text()


@pytest.mark.parametrize("origin", ["http://[", "//[::1", "http://a]b"])
def test_an_origin_that_is_no_address_is_refused(reachable: App, origin: str) -> None:
    answer = stranger(reachable).post("login", headers={"origin": origin})
    assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("name", ["a" * 5_000, "a/" * 3_000])
def test_a_part_of_the_page_with_an_endless_name_is_not_there(private: App, name: str) -> None:
    assert stranger(private).get(f"assets/{name}").status_code == 404


@pytest.mark.parametrize("trigger", ["1e400", "NaN", "[1]", '"a"'])
def test_what_triggered_a_call_is_a_number(private: App, trigger: str) -> None:
    body = f'{{"data": [], "fn_index": 0, "session_hash": "a", "trigger_id": {trigger}}}'
    answer = stranger(private).post("gradio_api/queue/join", content=body)
    assert answer.status_code == 400, answer.text

"""Whatever a handler is given, it says one sentence, starts nothing and tells no log of it."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

import pytest

from tests.page_client import PageClient
from tests.running_app import App

CANARY = "Quorvexzibbandale"
HOSTILE: tuple[Any, ...] = (
    None,
    "",
    f"../../../{CANARY}",
    f"CON{CANARY}",
    CANARY * 300,
    f"<img src=x onerror=alert(1)>{CANARY}",
    "\0\u202e" + CANARY,
    -1,
    10**9,
    1.5,
    True,
    [],
    [f"../{CANARY}"],
    {},
    {CANARY: 1},
)
# These begin work by themselves, whatever they are given.
BEGINNING = ("dataset-use-sample", "train-continue", "owner-renew-own")


def outcome(page: PageClient, handler: dict[str, Any], value: Any) -> str:
    """What the page would be told, as text."""
    tab = secrets.token_hex(6)
    body = {"data": [value] * len(handler["inputs"]), "fn_index": handler["id"]}
    answer = page._http.post("gradio_api/queue/join", json={**body, "session_hash": tab})
    if answer.status_code != 200:
        assert answer.status_code in (400, 413, 422, 429), answer.text
        assert answer.json()["detail"].endswith(".")
        return answer.text
    page._session = tab
    for message in page._messages():
        if message["msg"] == "process_completed":
            return json.dumps(message)
    raise AssertionError("the page closed the stream before it answered")


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_every_handler_survives_every_value(private: App, number: int) -> None:
    page = PageClient(private.url)
    named = {one["id"]: one["props"].get("elem_id") for one in page.config["components"]}
    for handler in page.config["dependencies"]:
        names = {named.get(target) for target, _ in handler["targets"]}
        if not handler["backend_fn"] or names & set(BEGINNING):
            continue
        said = outcome(page, handler, HOSTILE[number])
        assert "Traceback" not in said
        assert 'File \\"' not in said
    page.close()
    assert list((private.workspace / "runs").iterdir()) == []
    assert list((private.workspace / "evaluations").iterdir()) == []
    log = private.log.read_text()
    assert CANARY not in log
    unexpected = re.findall(r"ERROR \w+: (\w+ in \w+)", log)
    assert unexpected == []

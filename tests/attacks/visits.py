"""Visitors of a page that others can reach, over raw HTTP."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any

import httpx

from tests.running_app import App
from tests.waiting import wait_until

ROLES = ("owner", "reviewer")


@dataclass(frozen=True)
class Printed:
    """What the server printed for one role."""

    role: str
    token: str
    password: str


def printed(app: App, role: str) -> Printed:
    """The newest link and password of a role."""
    wait_until(lambda: f"Login: user {ROLES[-1]}" in app.log.read_text(), seconds=10)
    log = app.log.read_text()
    link = re.findall(rf"^{role.capitalize()}s?'s? link.*/enter\?key=(\S+)$", log, re.MULTILINE)
    password = re.findall(rf"^Login: user {role}, password (\S+)$", log, re.MULTILINE)
    return Printed(role, link[-1], password[-1])


def stranger(app: App, **options: Any) -> httpx.Client:
    """Somebody who has nothing; each has a cookie jar of their own."""
    return httpx.Client(base_url=app.url, timeout=30, trust_env=False, **options)


def visitor(app: App, role: str) -> httpx.Client:
    """Somebody who came in with the link of a role."""
    client = stranger(app)
    answer = client.get("enter", params={"key": printed(app, role).token})
    assert answer.status_code == 303, answer.text
    return client


def handler_of(config: dict[str, Any], elem_id: str, event: str = "click") -> dict[str, Any]:
    """A handler by the control that triggers it."""
    [control] = [one for one in config["components"] if one["props"].get("elem_id") == elem_id]
    target = [control["id"], event]
    return next(one for one in config["dependencies"] if target in one["targets"])


def call(
    client: httpx.Client, handler: dict[str, Any], data: list[Any] | None = None, **more: Any
) -> httpx.Response:
    """Calls a handler as the page would."""
    return client.post(
        "gradio_api/queue/join",
        json={
            "data": [None] * len(handler["inputs"]) if data is None else data,
            "fn_index": handler["id"],
            "session_hash": secrets.token_hex(6),
            **more,
        },
    )

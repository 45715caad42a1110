"""A viewer without a browser: speaks to the page over HTTP, as its own script does.

Handlers are found by the control that triggers them, so that a test says what a person does.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

SECONDS = 120.0


class PageClient:
    """One open page.

    Args:
        url: Address of the page, with a slash at its end.
        http: Somebody who has come in, where the page asks who they are.

    Attributes:
        told: The messages that came up at the edge of the page.
    """

    def __init__(self, url: str, *, http: httpx.Client | None = None) -> None:
        self._http = http or httpx.Client(base_url=url, timeout=SECONDS, trust_env=False)
        self._session = secrets.token_hex(6)
        self.told: list[str] = []
        self.config: dict[str, Any] = self._http.get("config").raise_for_status().json()
        self._ids = {
            one["props"]["elem_id"]: one["id"]
            for one in self.config["components"]
            if one["props"].get("elem_id")
        }
        self._shown = {one["id"]: one["props"].get("value") for one in self.config["components"]}
        for handler in self.config["dependencies"]:
            if any(event == "load" for _, event in handler["targets"]):
                self._trigger(handler, [])

    def close(self) -> None:
        self._http.close()

    def do(self, elem_id: str, event: str, *data: Any) -> list[Any]:
        """Triggers `event` of a control; None stands for what the session itself holds.

        Inputs that are not given are as the page was served.

        Returns the handler's outputs; an empty list when it was refused or changed nothing.
        """
        return self._trigger(self._handler(elem_id, event), list(data))

    def configure(self, **values: Any) -> None:
        """Sets settings in the form, by the element ids of their controls."""
        handler = self._handler("configure-rank", "input")
        shown = self._shown | {self._ids[name]: value for name, value in values.items()}
        states = 2  # what the session holds: the dataset and the settings so far
        form = [shown[number] for number in handler["inputs"][states:]]
        self.do("configure-rank", "input", *[None] * states, *form)

    def upload(self, path: Path) -> dict[str, Any]:
        """Uploads a file and returns what a file control would hold."""
        with path.open("rb") as file:
            stored = self._http.post("gradio_api/upload", files={"files": (path.name, file)})
        [place] = stored.raise_for_status().json()
        return {"path": place, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}

    def inputs(self, elem_id: str, event: str) -> list[str]:
        """Element ids of a handler's inputs; empty where a control has none."""
        names = {number: name for name, number in self._ids.items()}
        return [names.get(number, "") for number in self._handler(elem_id, event)["inputs"]]

    def _handler(self, elem_id: str, event: str) -> dict[str, Any]:
        target = [self._ids[elem_id], event]
        [handler, *_] = [one for one in self.config["dependencies"] if target in one["targets"]]
        return dict(handler)

    def _trigger(self, handler: dict[str, Any], data: list[Any]) -> list[Any]:
        asked = self._http.post(
            "gradio_api/queue/join",
            json={
                "data": data + [self._shown[one] for one in handler["inputs"][len(data) :]],
                "fn_index": handler["id"],
                "session_hash": self._session,
                "trigger_id": handler["targets"][0][0],
            },
        ).raise_for_status()
        return self._outcome(asked.json()["event_id"])

    def _outcome(self, event_id: str) -> list[Any]:
        for message in self._messages():
            if message.get("event_id") == event_id and message["msg"] == "log":
                self.told.append(message["log"])
            if message.get("event_id") == event_id and message["msg"] == "process_completed":
                assert message["success"], message
                return list(message["output"]["data"])
        raise AssertionError("the page closed the stream before it answered")

    def _messages(self) -> Iterator[dict[str, Any]]:
        place = "gradio_api/queue/data"
        with self._http.stream("GET", place, params={"session_hash": self._session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

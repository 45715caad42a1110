"""A handler's call before it reaches the queue: who may make it, for which tab, and how large.

Gradio takes any call of any handler from whoever names it; here the caller's role, the browser tab
that it speaks for, and how much of it waits already are checked first.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import gradio as gr

from ui.door.requests import RefusedCall, is_session_hash
from ui.door.roles import Role, allowed_calls
from ui.door.values import checked_values

MAX_BODY: Final = 1_000_000
MAX_TABS: Final = 5_000
MAX_TABS_OF_VISITOR: Final = 100
"""Whoever opens more speaks for the newest: nobody pushes another's tabs out by naming many."""

MAX_WAITING: Final = 400
MAX_WAITING_OF_VISITOR: Final = 48
MAX_WAITING_OF_TAB: Final = 16
MAX_WAITING_OF_SLOW: Final = 2
"""Of a handler that runs a few at a time, such as the one that answers questions."""

_PERSONS_EVENTS: Final = ("click", "submit", "upload", "input")
_NOT_AUDITED: Final = ("configure-", "monitor-")  # every press of an arrow is one


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was checked.

    Attributes:
        body: What is passed on.
        tab: The browser tab that it comes from.
        did: What the audit log calls it; empty for what nobody asked for by hand.
    """

    body: bytes
    tab: str
    did: str


class Calls:
    """The calls of one page.

    Args:
        page: The page whose handlers are called.
        folder: Where uploads lie; no other file may be named.
    """

    def __init__(self, page: gr.Blocks, folder: Path) -> None:
        self._page = page
        self._folder = folder.resolve()
        self._allowed = allowed_calls(page)
        self._tabs: OrderedDict[str, str] = OrderedDict()

    def checked(self, body: bytes, *, role: Role, visitor: str) -> Call:
        """A call as it may be passed on.

        Args:
            body: What came.
            role: The caller's role.
            visitor: The caller.

        Raises:
            RefusedCall: It may not be made, not now, or is not a call.
        """
        call = _parsed(body)
        number, tab, data = call.get("fn_index"), call.get("session_hash"), call.get("data")
        if type(number) is not int or not is_session_hash(tab) or not isinstance(data, list):
            raise RefusedCall(400, "This is not a call of the page.")
        if type(call.get("trigger_id")) not in (int, type(None)):
            raise RefusedCall(400, "This is not a call of the page.")
        if number not in self._allowed[Role.OWNER]:
            raise RefusedCall(404, "There is no such handler.")
        if number not in self._allowed[role]:
            raise RefusedCall(403, "Only the owner may do this.")
        handler = self._page.fns[number]
        if len(data) != len(handler.inputs):
            raise RefusedCall(400, "This is not what the handler takes.")
        data = checked_values(data, handler.inputs, self._folder)
        self.claim_tab(cast(str, tab), visitor)
        self._refuse_flood(number, cast(str, tab), visitor)
        # What the page never sends: other formats, a list of several calls, somebody's token.
        known = ("data", "fn_index", "session_hash", "trigger_id", "event_data")
        passed = json.dumps({**{name: call.get(name) for name in known}, "data": data}).encode()
        return Call(passed, cast(str, tab), self._audited(number))

    def check_cancel(self, body: bytes, *, role: Role, visitor: str) -> None:
        """Refuses to cancel what somebody else has started.

        Raises:
            RefusedCall: It is not the caller's own, or not a request to cancel.
        """
        call = _parsed(body)
        if not is_session_hash(call.get("session_hash")) or type(call.get("fn_index")) is not int:
            raise RefusedCall(400, "This is not a request to cancel.")
        if call["fn_index"] not in self._allowed[role]:
            raise RefusedCall(403, "Only the owner may do this.")
        self.claim_tab(call["session_hash"], visitor)
        event = self._page._queue.event_ids_to_events.get(str(call.get("event_id")))
        if event is not None and event.session_hash != call["session_hash"]:
            raise RefusedCall(403, "This belongs to somebody else.")

    def claim_tab(self, tab: str, visitor: str) -> None:
        """Ties a browser tab to whoever speaks for it first.

        Raises:
            RefusedCall: It is somebody else's.
        """
        if not is_session_hash(tab):
            raise RefusedCall(400, "This is not the name of a browser tab.")
        if tab not in self._tabs:
            self._forget_a_tab_of(visitor)
        if self._tabs.setdefault(tab, visitor) != visitor:
            raise RefusedCall(403, "This belongs to somebody else.")
        self._tabs.move_to_end(tab)
        while len(self._tabs) > MAX_TABS:
            self._tabs.popitem(last=False)

    def _forget_a_tab_of(self, visitor: str) -> None:
        # Not one for which something waits: what waits is counted by its tab.
        busy = {one.session_hash for one in self._page._queue.event_ids_to_events.values()}
        own = [one for one, whose in self._tabs.items() if whose == visitor and one not in busy]
        if len(own) >= MAX_TABS_OF_VISITOR:
            del self._tabs[own[0]]

    def check_tab(self, tab: str, visitor: str) -> None:
        """Refuses what was made for a tab that is not the visitor's.

        Raises:
            RefusedCall: It is somebody else's, or nobody's.
        """
        if self._tabs.get(tab) != visitor:
            raise RefusedCall(403, "Only the owner may do this.")

    def shown_to_reviewers(self) -> frozenset[int]:
        """The handlers that a reviewer's page is told of."""
        return self._allowed[Role.REVIEWER]

    def _refuse_flood(self, number: int, tab: str, visitor: str) -> None:
        waiting = list(self._page._queue.event_ids_to_events.values())
        own = [one for one in waiting if self._tabs.get(one.session_hash) == visitor]
        of_tab = sum(one.session_hash == tab for one in own)
        is_slow = isinstance(self._page.fns[number].concurrency_limit, int)
        of_slow = sum(one.fn._id == number for one in own) if is_slow else 0
        if (
            of_tab >= MAX_WAITING_OF_TAB
            or len(own) >= MAX_WAITING_OF_VISITOR
            or of_slow >= MAX_WAITING_OF_SLOW
        ):
            raise RefusedCall(429, "Too much at once. Wait until what you asked for is done.")
        if len(waiting) >= MAX_WAITING:
            raise RefusedCall(503, "Too many people ask at once. Try again in a moment.")

    def _audited(self, number: int) -> str:
        for component, event in self._page.fns[number].targets:
            block = self._page.blocks.get(component) if component is not None else None
            name = str(getattr(block, "elem_id", None) or "")
            if event in _PERSONS_EVENTS and name and not name.startswith(_NOT_AUDITED):
                return f"{name} {event}"
        return ""


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        call = json.loads(body)
    except (ValueError, RecursionError):
        call = None
    if not isinstance(call, dict):
        raise RefusedCall(400, "This is not a call of the page.")
    return call

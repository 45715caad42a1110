"""The door: the middleware through which every request to the page goes.

Gradio's own login has no limits, answers any origin and takes any handler's call. Here a request is
refused unless it names this machine or carries a session, comes from the page itself, asks for
something that the page needs, and stays within its bounds. What each check means is said in
`ui.door`; this puts them in their order and speaks HTTP.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from ui import downloads, theme
from ui.door import headers, pages
from ui.door.bodies import (
    App,
    Message,
    Receive,
    Scope,
    Send,
    bounded,
    drain,
    replayed,
    whole_body,
    with_length,
)
from ui.door.calls import MAX_BODY, Calls
from ui.door.entry import PATHS, Entry, cookie_for
from ui.door.limits import Buckets, Open, Rate
from ui.door.replies import Collected, Reply
from ui.door.requests import Asked, Kind, RefusedCall, is_from_elsewhere, is_local
from ui.door.roles import Role
from ui.door.uploads import PartCounter, boundary_of
from ui.door.visitors import Access, Visitor

REQUESTS: Final = Rate(burst=600, per_second=100)
CALLS: Final = Rate(burst=60, per_second=20)
UPLOADS: Final = Rate(burst=40, per_second=2)
MAX_STREAMS_OF_TAB: Final = 4
MAX_UPLOADS_AT_ONCE: Final = 4
VISITOR_BYTES: Final = 16
NAME_MAX: Final = 255

_COUNTED_ELSEWHERE: Final = (Kind.STATIC, Kind.CALL, Kind.CANCEL, Kind.RESET, Kind.UPLOAD)
_FOR_OWNERS: Final = (Kind.UPLOAD, Kind.INFO)


class Door:
    """ASGI middleware.

    Args:
        app: Gradio's application.
        access: What to go by.
        page: The page whose handlers are called.
    """

    def __init__(self, app: App, access: Access, page: gr.Blocks) -> None:
        self._app, self._access = app, access
        self._calls = Calls(page, access.uploads.folder)
        self._cookie = f"medqlora-{access.port}"
        self._entry = Entry(access.keys, access.audit, self._cookie)
        self._scripts = theme.scripts()
        self._requests, self._uploads = Buckets(REQUESTS), Buckets(UPLOADS)
        self._tab_calls = Buckets(CALLS)
        self._tab_streams = Open(MAX_STREAMS_OF_TAB)
        self._busy_uploads = Open(MAX_UPLOADS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, refuses or passes on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:  # the page uses no other kind of connection
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Asked.of(dict(scope))
        nonce = secrets.token_urlsafe(VISITOR_BYTES)
        reply = Reply(asked, send, headers.security_headers(nonce, is_https=asked.is_https))
        try:
            self._check_origin(asked)
            if asked.path in PATHS:
                await self._entry.answer(asked, receive, reply)
                return
            if asked.path == "/robots.txt":
                await reply.text(200, "User-agent: *\nDisallow: /\n")
                return
            if asked.path == "/gradio_api/startup-events":  # asked by Gradio itself at the start
                await self._app(scope, receive, reply.send)
                return
            visitor = self._visitor(asked)
            if visitor is None:
                if asked.path == "/" and asked.method in ("GET", "HEAD"):
                    await reply.redirect("login")
                    return
                raise RefusedCall(401, "Sign in first.")
            kind = asked.kind
            if kind is None:
                raise RefusedCall(404, "There is nothing here.")
            if visitor.session is None and not asked.cookie(self._cookie):
                name = secrets.token_urlsafe(VISITOR_BYTES)
                reply.cookies.append(cookie_for(self._cookie, asked, name))
            request = _Request(kind, visitor, asked, scope, bounded(receive), reply, nonce)
            await self._pass(request)
        except RefusedCall as refusal:
            await reply.refuse(refusal.status, refusal.sentence)

    def _check_origin(self, asked: Asked) -> None:
        if self._access.keys is None and not is_local(asked.host):
            raise RefusedCall(403, "This page is for this machine only.")
        if is_from_elsewhere(asked, frozenset(self._access.own_hosts)):
            raise RefusedCall(403, "Another web page asked for this, and may not.")

    def _visitor(self, asked: Asked) -> Visitor | None:
        secret = asked.cookie(self._cookie)
        if self._access.keys is None:
            # Several browsers of one machine, and programs without cookies, count on their own.
            return Visitor(secret[:64] or f"from {asked.client}", Role.OWNER, "owner here")
        session = self._access.keys.session(secret)
        if session is None:
            return None
        name = f"{session.role} {session.number}"
        return Visitor(name, session.role, name, session)

    async def _pass(self, one: _Request) -> None:
        if one.visitor.role is Role.REVIEWER and one.kind in _FOR_OWNERS:
            raise RefusedCall(403, "Only the owner may do this.")
        if one.kind not in _COUNTED_ELSEWHERE and not self._requests.take(one.visitor.key):
            raise RefusedCall(429, "Too much at once. Wait a moment.")
        ways = {
            Kind.PAGE: self._serve_page,
            Kind.CONFIG: self._serve_page,
            Kind.SCRIPT: self._serve_script,
            Kind.FILE: self._serve_file,
            Kind.STREAM: self._stream,
            Kind.HEARTBEAT: self._stream,
            Kind.UPLOAD: self._upload,
            Kind.CALL: self._call,
            Kind.CANCEL: self._call,
            Kind.RESET: self._reset,
        }
        await ways.get(one.kind, self._as_it_is)(one)

    async def _as_it_is(self, one: _Request) -> None:
        await self._app(one.scope, one.receive, one.reply.send)

    async def _serve_page(self, one: _Request) -> None:
        # Without a query: it would ask for what somebody saved.
        collected = Collected()
        await self._app({**one.scope, "query_string": b""}, one.receive, collected.send)
        body, is_page = collected.body, one.kind is Kind.PAGE
        if one.visitor.role is Role.REVIEWER and collected.status == 200:
            allowed = self._calls.shown_to_reviewers()
            if is_page:
                body = pages.page_for_reviewers(body, allowed)
            else:
                body = json.dumps(pages.config_for_reviewers(json.loads(body), allowed)).encode()
        if is_page:
            body = pages.with_nonce(body, one.nonce)
        kind_of_body = "text/html; charset=utf-8" if is_page else "application/json"
        await one.reply.body(collected.status, body, kind_of_body)

    async def _serve_script(self, one: _Request) -> None:
        file = self._scripts[one.asked.path.rpartition("/")[2]]
        answer = FileResponse(file, media_type="text/javascript")
        await answer(one.scope, one.receive, one.reply.send)

    async def _serve_file(self, one: _Request) -> None:
        path = one.asked.path.partition("file=")[2]
        parts = path.split("/")
        is_plain = path.startswith("/") and not path.startswith("//") and ".." not in parts
        if not is_plain or "\0" in path or any(len(os.fsencode(one)) > NAME_MAX for one in parts):
            raise RefusedCall(403, "There is no such file.")
        if one.visitor.role is Role.REVIEWER:
            self._calls.check_tab(downloads.tab_of(path), one.visitor.key)
        await self._as_it_is(one)

    async def _call(self, one: _Request) -> None:
        visitor = one.visitor
        body = await whole_body(one.asked, one.receive, MAX_BODY)
        if one.kind is Kind.CALL:
            call = self._calls.checked(body, role=visitor.role, visitor=visitor.key)
            if not self._tab_calls.take(f"{visitor.key} {call.tab}"):
                raise RefusedCall(429, "Too much at once. Wait a moment.")
            if call.did:
                self._access.audit.record(visitor.name, call.did)
            body = call.body
        elif one.kind is Kind.CANCEL:
            self._calls.check_cancel(body, role=visitor.role, visitor=visitor.key)
        scope = with_length(one.scope, len(body))
        await self._app(scope, replayed(body, one.receive), one.reply.send)

    async def _reset(self, one: _Request) -> None:
        # Gradio does nothing here either, but stumbles over some bodies.
        await whole_body(one.asked, one.receive, MAX_BODY)
        await one.reply.body(200, b'{"success": true}', "application/json")

    async def _stream(self, one: _Request) -> None:
        is_data = one.kind is Kind.STREAM
        path, query = one.asked.path, one.asked.query
        tab = query.get("session_hash", "") if is_data else path.rpartition("/")[2]
        self._calls.claim_tab(tab, one.visitor.key)
        of_visitor, of_tab = f"{one.visitor.key} {one.kind.value}", f"{tab} {one.kind.value}"
        if self._access.streams.is_full(of_visitor) or self._tab_streams.is_full(of_tab):
            raise RefusedCall(429, "Too many connections at once. Close some pages.")
        send = self._while_signed_in(one)
        with (
            self._access.streams.one(of_visitor),
            self._tab_streams.one(of_tab),
            contextlib.suppress(_SessionEndedError),
        ):
            await self._app(one.scope, one.receive, send)

    def _while_signed_in(self, one: _Request) -> Send:
        """Passes a stream on for as long as its session lasts."""
        keys, session = self._access.keys, one.visitor.session

        async def send(message: Message) -> None:
            if keys is not None and session is not None and not keys.is_alive(session):
                await one.reply.send({"type": "http.response.body", "body": b""})
                raise _SessionEndedError
            await one.reply.send(message)

        return send

    async def _upload(self, one: _Request) -> None:
        boundary = boundary_of(one.asked.headers.get("content-type", ""))
        key = one.visitor.key
        try:
            if not boundary:
                raise RefusedCall(400, "This is not an upload.")
            if self._busy_uploads.is_full(key) or not self._uploads.take(key):
                raise RefusedCall(429, "Too many uploads at once. Wait a moment.")
            self._access.uploads.check(one.asked.content_length)
        except RefusedCall:
            await drain(one.receive)
            raise
        counter = PartCounter(boundary)

        async def counted() -> Message:
            message = await one.receive()
            counter.feed(message.get("body", b""))
            return message

        collected = Collected()
        with self._busy_uploads.one(key):
            try:
                await self._app(one.scope, counted, collected.send)
            except TypeError as error:  # what Gradio makes of a form whose files are plain text
                raise RefusedCall(400, "This is not an upload.") from error
            if collected.status == 200:
                await run_in_threadpool(self._access.uploads.check_content, collected.body)
        await one.reply.body(collected.status, collected.body, "application/json")


@dataclass(frozen=True, slots=True)
class _Request:
    """A request that somebody may make, on its way."""

    kind: Kind
    visitor: Visitor
    asked: Asked
    scope: Scope
    receive: Receive
    reply: Reply
    nonce: str


class _SessionEndedError(Exception):
    """The session of an open stream was revoked."""


@contextlib.asynccontextmanager
async def without_foreign_origins(app: Any) -> AsyncIterator[None]:
    """Takes Gradio's middleware away that answers other origins, as the server starts.

    It stands outside of any that can be given to Gradio, and outside of this machine's own names it
    tells a browser that every origin may read the answers.
    """
    app.user_middleware[:] = [
        one for one in app.user_middleware if one.cls.__name__ != "CustomCORSMiddleware"
    ]
    app.middleware_stack = app.build_middleware_stack()
    yield

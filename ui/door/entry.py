"""Signing in and out: the form, the links, the cookie."""

from __future__ import annotations

import math
from typing import Final
from urllib.parse import parse_qs

from ui.door import pages
from ui.door.audit import AuditLog
from ui.door.bodies import Receive, bounded, whole_body
from ui.door.keys import KeyRing
from ui.door.limits import Lockout
from ui.door.replies import Reply
from ui.door.requests import ENTER, LOGIN, LOGOUT, Asked, RefusedCall
from ui.door.roles import Role

PATHS: Final = (LOGIN, LOGIN + "/", ENTER, LOGOUT)
_MAX_FORM, _MAX_SECRET = 10_000, 200


class Entry:
    """Who comes in, and who goes.

    Args:
        keys: Links, passwords and sessions; None where there is no login.
        audit: Where it is written down.
        cookie: Name of the session's cookie.
    """

    def __init__(self, keys: KeyRing | None, audit: AuditLog, cookie: str) -> None:
        self._keys, self._audit, self._name = keys, audit, cookie
        self._lockout = Lockout()

    async def answer(self, asked: Asked, receive: Receive, reply: Reply) -> None:
        """Answers a request for one of `PATHS`."""
        keys = self._keys
        if keys is None:
            await reply.redirect("./")
        elif asked.path == LOGOUT:
            if asked.method != "POST":
                raise RefusedCall(405, "Signing out is asked for with POST.")
            keys.end(asked.cookie(self._name))
            reply.cookies.append(cookie_for(self._name, asked, "", seconds=0))
            await reply.redirect("login")
        elif asked.path == ENTER:
            if asked.method != "GET":
                raise RefusedCall(405, "A link is opened with GET.")
            self._check_lock(asked, with_link=True)
            role = keys.role_of_token(asked.query.get("key", "")[:_MAX_SECRET])
            await self._enter(role, asked, reply, keys)
        elif asked.method == "POST":
            self._check_lock(asked, with_link=False)
            body = await whole_body(asked, bounded(receive), _MAX_FORM)
            form = parse_qs(body.decode("latin-1"))
            password = form.get("password", [""])[-1][:_MAX_SECRET].strip()
            await self._enter(keys.role_of_password(password), asked, reply, keys)
        elif asked.method in ("GET", "HEAD"):
            await reply.body(200, pages.login_page(), "text/html; charset=utf-8")
        else:
            raise RefusedCall(405, "This is not a way to sign in.")

    def _check_lock(self, asked: Asked, *, with_link: bool) -> None:
        seconds = self._lockout.seconds_left(asked.client, with_link=with_link)
        if seconds:
            minutes = math.ceil(seconds / 60)
            raise RefusedCall(429, f"Too many wrong passwords. Try again in {minutes} min.")

    async def _enter(self, role: Role | None, asked: Asked, reply: Reply, keys: KeyRing) -> None:
        if role is None:
            is_locked = self._lockout.record_wrong(asked.client)
            self._audit.record("nobody", "locked out" if is_locked else "wrong password or link")
            raise RefusedCall(401, "That is wrong or has expired. Ask the owner for a new one.")
        self._lockout.record_right(asked.client)
        secret = keys.begin(role)
        session = keys.session(secret)
        self._audit.record(f"{role} {session.number if session else ''}", "signed in")
        reply.cookies.append(cookie_for(self._name, asked, secret))
        if asked.path == ENTER or asked.wants_html:
            await reply.redirect("./")
        else:
            await reply.body(200, b'{"success": true}', "application/json")


def cookie_for(name: str, asked: Asked, value: str, *, seconds: int | None = None) -> str:
    """A Set-Cookie header for this browser."""
    parts = [f"{name}={value}", "HttpOnly", "Path=/"]
    if asked.is_https and asked.is_framed:
        # In a notebook's frame the page is a third party: a cookie of that notebook alone.
        parts += ["SameSite=None", "Secure", "Partitioned"]
    else:
        parts += ["SameSite=Lax", *(["Secure"] if asked.is_https else [])]
    if seconds is not None:
        parts.append(f"Max-Age={seconds}")
    return "; ".join(parts)

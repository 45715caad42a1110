"""KeyRing: the links, passwords and sessions of the two roles, and who is connected.

All of it lives in memory and is new at every start. Secrets leave this module in two ways: to be
printed or shown to the owner, and into the cookie of whoever had one of them. How often somebody
may try is for `limits`.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from ui.door.roles import Role

SECRET_BYTES = 24  # 192 bits
SESSION_SECONDS = 12 * 3600.0
REVIEWER_SECONDS = 24 * 3600.0
MAX_SESSIONS_OF_ROLE = 250


@dataclass(frozen=True, slots=True)
class Key:
    """How to become a role.

    Attributes:
        role: What it opens.
        token: Secret of the link.
        password: Secret of the form.
        expires_at: Seconds since the epoch after which it opens nothing; None for never.
    """

    role: Role
    expires_at: float | None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(SECRET_BYTES), repr=False)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(SECRET_BYTES), repr=False)


@dataclass(slots=True)
class Session:
    """One browser that has come in.

    Attributes:
        number: Counts the sessions; what lists and the audit log call it.
        role: What it may do.
        since: When it came, in seconds since the epoch.
        expires_at: When it ends by itself.
        seen_at: When it last asked for something.
        is_ended: Whether it was revoked.
    """

    number: int
    role: Role
    since: float
    expires_at: float
    seen_at: float
    is_ended: bool = False


class KeyRing:
    """The keys and sessions of one server; safe to use from several threads.

    Args:
        clock: Seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[Role, Key] = {Role.OWNER: Key(Role.OWNER, None)}
        self._sessions: dict[bytes, Session] = {}
        self._last_number = 0
        self.renew(Role.REVIEWER, REVIEWER_SECONDS)

    def key(self, role: Role) -> Key | None:
        """The key of a role, or None when it was revoked or has expired."""
        key = self._keys.get(role)
        return key if key and not self._is_over(key.expires_at) else None

    def renew(self, role: Role, seconds: float | None) -> Key:
        """Makes a new key, which ends the old one and whoever came in with it.

        Args:
            role: Whose.
            seconds: How long it opens; None for as long as the server runs.
        """
        self.revoke(role)
        key = Key(role, None if seconds is None else self._clock() + seconds)
        with self._lock:
            self._keys[role] = key
        return key

    def revoke(self, role: Role) -> None:
        """Ends a role's key and all its sessions."""
        with self._lock:
            self._keys.pop(role, None)
            for secret, session in list(self._sessions.items()):
                if session.role is role:
                    session.is_ended = True
                    del self._sessions[secret]

    def role_of_password(self, password: str) -> Role | None:
        """The role that a password opens, or None."""
        return self._role(password, lambda key: key.password)

    def role_of_token(self, token: str) -> Role | None:
        """The role that a link's secret opens, or None."""
        return self._role(token, lambda key: key.token)

    def begin(self, role: Role) -> str:
        """Begins a session and returns the secret for its cookie."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        key = self.key(role)
        now = self._clock()
        ends = now + SESSION_SECONDS
        if key and key.expires_at is not None:
            ends = min(ends, key.expires_at)
        with self._lock:
            # Of each role its own: reviewers who come in again and again never push an owner out.
            own = [one for one, session in self._sessions.items() if session.role is role]
            if len(own) >= MAX_SESSIONS_OF_ROLE:
                oldest = min(own, key=lambda one: self._sessions[one].seen_at)
                self._sessions.pop(oldest).is_ended = True
            self._last_number += 1
            self._sessions[_digest(secret)] = Session(self._last_number, role, now, ends, now)
        return secret

    def session(self, secret: str) -> Session | None:
        """The session of a cookie's secret, or None when there is none any more."""
        session = self._sessions.get(_digest(secret))
        if session is None or not self.is_alive(session):
            return None
        session.seen_at = self._clock()
        return session

    def end(self, secret: str) -> None:
        """Ends one session."""
        with self._lock:
            session = self._sessions.pop(_digest(secret), None)
        if session:
            session.is_ended = True

    def is_alive(self, session: Session) -> bool:
        """Whether a session still counts."""
        return not session.is_ended and not self._is_over(session.expires_at)

    def sessions(self) -> tuple[Session, ...]:
        """Who is there, the newest first."""
        with self._lock:
            alive = [one for one in self._sessions.values() if self.is_alive(one)]
        return tuple(sorted(alive, key=lambda one: -one.number))

    def _role(self, given: str, secret_of: Callable[[Key], str]) -> Role | None:
        # Every key is compared, so that the time tells nothing.
        found = None
        for role in Role:
            key = self.key(role)
            if key and hmac.compare_digest(secret_of(key).encode(), given.encode()):
                found = role
        return found

    def _is_over(self, moment: float | None) -> bool:
        return moment is not None and self._clock() >= moment


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()

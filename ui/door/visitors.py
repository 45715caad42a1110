"""What the door goes by, and who stands before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ui.door.audit import AuditLog
from ui.door.keys import Key, KeyRing, Session
from ui.door.limits import Open
from ui.door.roles import Role
from ui.door.uploads import UploadRules

MAX_STREAMS_OF_VISITOR: Final = 128


@dataclass(slots=True)
class Access:
    """What the door goes by.

    Attributes:
        audit: Where it is written down who did what.
        uploads: What may be uploaded.
        port: Port of the page; cookies of two pages of one machine differ by it.
        keys: Links, passwords and sessions; None where nobody else can reach the page, and no login
            is asked for.
        url: Where others find the page; empty until it is served.
        own_hosts: Other names of the page, such as its public link's.
        streams: The connections that are open, by visitor and kind.
    """

    audit: AuditLog
    uploads: UploadRules
    port: int
    keys: KeyRing | None = None
    url: str = ""
    own_hosts: set[str] = field(default_factory=set)
    streams: Open = field(default_factory=lambda: Open(MAX_STREAMS_OF_VISITOR))

    def link(self, key: Key) -> str:
        """The address with which somebody comes in."""
        return f"{self.url.rstrip('/')}/enter?key={key.token}"

    def is_connected(self, name: str) -> bool:
        """Whether a visitor has the page open."""
        return any(one.startswith(f"{name} ") for one in self.streams.open_keys())


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks.

    Attributes:
        key: Tells visitors apart.
        role: What they may do.
        name: What the audit log calls them.
        session: How they came in; None where there is no login.
    """

    key: str
    role: Role
    name: str
    session: Session | None = None

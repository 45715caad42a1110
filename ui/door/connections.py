"""Connections on which no request has come yet: few, and for a short time.

Before a request's headers are whole nobody can be asked who they are, so that whoever opens
connections and says nothing would take all that a process may have open.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS: Final = 15.0
"""How long the headers of a request may take, or a connection wait for its next request."""
MOST_WAITING: Final = 256
"""More connections without a request: the one that has waited longest is ended."""
_FILES: Final = 65_536
_TOLD_EVERY_SECONDS: Final = 60.0


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that ends connections on which no request comes."""

    _waiting: ClassVar[dict[ImpatientProtocol, asyncio.TimerHandle]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody came."""
        super().connection_made(transport)
        self._settle()

    def data_received(self, data: bytes) -> None:
        """Part of a request, or several."""
        super().data_received(data)
        self._settle()

    def on_response_complete(self) -> None:
        """The next request may come."""
        super().on_response_complete()
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        """They left."""
        self._leave()
        super().connection_lost(exc)

    def _settle(self) -> None:
        is_asked = self.cycle is not None and not self.cycle.response_complete
        if is_asked or self.transport.is_closing():
            self._leave()
        elif self not in self._waiting:  # else its time goes on, however slowly headers trickle
            if len(self._waiting) >= MOST_WAITING:
                next(iter(self._waiting))._end()
            self._waiting[self] = self.loop.call_later(HEADER_SECONDS, self._end)

    def _end(self) -> None:
        self._leave()
        self.transport.abort()

    def _leave(self) -> None:
        timer = self._waiting.pop(self, None)
        if timer:
            timer.cancel()


def be_impatient(server: Any) -> None:
    """Lets a uvicorn server that is running treat connections so from now on."""
    server.config.http_protocol_class = ImpatientProtocol


def allow_many_files() -> None:
    """Raises how many files and connections this process may have open, as far as it may.

    Where they run out all the same, asyncio would fill the disk with saying so.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    logging.getLogger("asyncio").addFilter(_NowAndThen())


class _NowAndThen(logging.Filter):
    """Lets the complaint that no connection can be taken through once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._told_at = -_TOLD_EVERY_SECONDS

    def filter(self, record: logging.LogRecord) -> bool:
        if "out of system resource" not in record.getMessage():
            return True
        now = time.monotonic()
        is_due = now - self._told_at >= _TOLD_EVERY_SECONDS
        self._told_at = now if is_due else self._told_at
        return is_due

"""The bodies of requests: bounded in size and in time, and read before Gradio reads them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from ui.door.requests import Asked, RefusedCall

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SILENT_SECONDS: Final = 30.0
"""How long a body that has begun may stand still."""
SLOWEST_BYTES_A_SECOND: Final = 2_000
"""A body that is slower than this on the whole, once it took longer than that, is given up."""
DRAINED_BYTES: Final = 16_000_000


async def whole_body(asked: Asked, receive: Receive, most: int) -> bytes:
    """The body of a request.

    Raises:
        RefusedCall: It is larger than `most` bytes, or never came to its end.
    """
    announced = asked.content_length
    if announced is not None and announced > most:
        await drain(receive)
        raise RefusedCall(413, "This is more than the page takes at once.")
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedCall(400, "The request ended early.")
        body += bytes(message.get("body", b""))
        if len(body) > most:
            raise RefusedCall(413, "This is more than the page takes at once.")
        if not message.get("more_body"):
            return body


def bounded(receive: Receive) -> Receive:
    """`receive` that gives up on a body that stands still or trickles."""
    is_whole = False
    num_bytes = 0
    begun = time.monotonic()

    async def bounded() -> Message:
        nonlocal is_whole, num_bytes
        if is_whole:
            return await receive()  # waits for the end of the connection
        try:
            message = await asyncio.wait_for(receive(), SILENT_SECONDS)
        except TimeoutError:
            raise RefusedCall(408, "The request took too long.") from None
        is_whole = message["type"] != "http.request" or not message.get("more_body")
        num_bytes += len(message.get("body", b""))
        taken = time.monotonic() - begun
        if not is_whole and taken > SILENT_SECONDS + num_bytes / SLOWEST_BYTES_A_SECOND:
            raise RefusedCall(408, "The request took too long.")
        return message

    return bounded


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read before."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


def with_length(scope: Scope, length: int) -> Scope:
    """A scope whose body has another length than before."""
    kept = [one for one in scope["headers"] if one[0] not in (b"content-length",)]
    return {**scope, "headers": [*kept, (b"content-length", str(length).encode())]}


async def drain(receive: Receive) -> None:
    """Reads what is still coming, within bounds, so that the answer is read as well."""
    left = DRAINED_BYTES
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return

"""Answers: ours, and Gradio's with our headers on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from ui.door import headers, pages
from ui.door.bodies import Message, Send
from ui.door.headers import HeaderList
from ui.door.requests import ENTER, LOGIN, Asked, Kind


@dataclass(slots=True)
class Reply:
    """An answer: ours, or Gradio's with our headers."""

    asked: Asked
    raw_send: Send
    security: HeaderList
    cookies: list[str] = field(default_factory=list)
    is_begun: bool = False

    async def send(self, message: Message) -> None:
        """Passes on what Gradio answers."""
        if message["type"] == "http.response.start":
            self.is_begun = True
            own = [*self.security, *((b"set-cookie", one.encode()) for one in self.cookies)]
            kept = headers.replaced(list(message.get("headers", [])), self.security)
            message = {**message, "headers": kept + own[len(self.security) :]}
        await self.raw_send(message)

    async def body(
        self, status: int, body: bytes, kind: str, extra: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Answers with a whole body, which is never kept by a browser or proxy."""
        own = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            *extra,
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": own})
        shown = b"" if self.asked.method == "HEAD" else body
        await self.send({"type": "http.response.body", "body": shown})

    async def text(self, status: int, text: str) -> None:
        """Answers with plain text."""
        await self.body(status, text.encode(), "text/plain; charset=utf-8")

    async def redirect(self, place: str) -> None:
        """Sends the browser to another place of this page."""
        await self.body(303, b"", "text/plain", [(b"location", place.encode())])

    async def refuse(self, status: int, sentence: str) -> None:
        """Says why not, as the page reads it, or as a person does."""
        if self.is_begun:
            return
        extra: HeaderList = [(b"retry-after", b"5")] if status in (429, 503) else []
        if self.asked.path in (LOGIN, ENTER) and self.asked.wants_html:
            await self.body(status, pages.login_page(sentence), "text/html; charset=utf-8", extra)
        elif self.asked.kind is Kind.UPLOAD:  # the page shows the answer as it is
            await self.body(status, sentence.encode(), "text/plain; charset=utf-8", extra)
        else:
            told = json.dumps({"detail": sentence, "error": sentence}).encode()
            await self.body(status, told, "application/json", extra)


@dataclass(slots=True)
class Collected:
    """An answer of Gradio's as a whole, to be changed before it goes out."""

    status: int = 500
    parts: list[bytes] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        """Keeps what Gradio answers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.parts.append(message.get("body", b""))

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.parts)

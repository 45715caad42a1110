"""Where a request comes from, and what it asks for.

What the page needs is listed; everything else that Gradio serves (calls past the queue, its proxy,
component servers, monitoring, its list of runs, tools for agents) is not there.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

NOTEBOOK_HOSTS: Final = (
    ".colab.dev",
    ".googleusercontent.com",
    ".colab-user-runtimes.internal",
)
"""Under these Colab shows a port of its machine; nobody else can have a name there."""

LOGIN: Final = "/login"
ENTER: Final = "/enter"
LOGOUT: Final = "/logout"

MAX_SESSION_HASH: Final = 64
_SESSION_HASH = re.compile(rf"[\w-]{{1,{MAX_SESSION_HASH}}}", re.ASCII)
_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")


class RefusedCall(Exception):
    """A request that is not passed on.

    Args:
        status: HTTP status.
        sentence: Why, for the user.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Kind(Enum):
    """What a request is, for the checks that it has to pass."""

    PAGE = "page"
    CONFIG = "config"
    STATIC = "static"
    INFO = "info"
    SCRIPT = "script"
    FILE = "file"
    STREAM = "stream"
    HEARTBEAT = "heartbeat"
    CALL = "call"
    CANCEL = "cancel"
    RESET = "reset"
    UPLOAD = "upload"


# Method, path, kind. The first that fits counts; what none fits does not exist.
_ROUTES: Final = tuple(
    (methods.split(), re.compile(path), kind)
    for methods, path, kind in (
        ("GET HEAD", r"/", Kind.PAGE),
        ("GET", r"/config/?", Kind.CONFIG),
        ("GET HEAD", r"/(assets|static|svelte)/[\w./@-]{1,200}", Kind.STATIC),
        ("GET HEAD", r"/page/(page|plotly\.min)\.js", Kind.SCRIPT),
        ("GET HEAD", r"/(favicon\.ico|theme\.css|gradio_api/theme\.css)", Kind.STATIC),
        ("GET", r"/gradio_api/(info|app_id|user|login_check)/?", Kind.INFO),
        ("GET", r"/gradio_api/upload_progress", Kind.INFO),
        ("GET HEAD", r"/gradio_api/file=.+", Kind.FILE),
        ("GET", r"/gradio_api/queue/data", Kind.STREAM),
        ("GET", r"/gradio_api/heartbeat/[\w-]+", Kind.HEARTBEAT),
        ("POST", r"/gradio_api/queue/join", Kind.CALL),
        ("POST", r"/gradio_api/cancel", Kind.CANCEL),
        ("POST", r"/gradio_api/reset/?", Kind.RESET),
        ("POST", r"/gradio_api/upload", Kind.UPLOAD),
    )
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The parts of a request that are checked.

    Attributes:
        method: HTTP method.
        path: Path, percent-decoded.
        headers: Headers by lower-case name; of a repeated one the last.
        query: Query parameters; of a repeated one the last.
        client: Address that it came from.
        scheme: `http` or `https`, as the outermost proxy saw it.
    """

    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    client: str
    scheme: str

    @classmethod
    def of(cls, scope: dict[str, Any]) -> Asked:
        """What an ASGI scope asks."""
        client = scope.get("client") or ("", 0)
        return cls(
            method=scope["method"],
            path=scope["path"],
            headers={
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in scope["headers"]
            },
            query=dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"))),
            client=str(client[0]),
            scheme=scope.get("scheme", "http"),
        )

    @property
    def kind(self) -> Kind | None:
        """What it is; None for what is not there."""
        for methods, path, kind in _ROUTES:
            if self.method in methods and path.fullmatch(self.path):
                return kind
        return None

    @property
    def host(self) -> str:
        """The host that was asked for, with its port."""
        return self.headers.get("host", "").lower()

    @property
    def is_https(self) -> bool:
        """Whether the browser speaks https, to us or to a proxy before us."""
        return self.scheme == "https"

    @property
    def is_framed(self) -> bool:
        """Whether the answer is for a frame of another page."""
        return self.headers.get("sec-fetch-dest") == "iframe"

    @property
    def wants_html(self) -> bool:
        """Whether a person is looking."""
        return "text/html" in self.headers.get("accept", "")

    @property
    def content_length(self) -> int | None:
        """Bytes of the body as announced; None when it was not, or not as a number."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None

    def cookie(self, name: str) -> str:
        """A cookie's value; empty when it is not there."""
        try:
            cookies = SimpleCookie(self.headers.get("cookie", ""))
        except CookieError:
            return ""
        return cookies[name].value if name in cookies else ""


def is_session_hash(value: object) -> bool:
    """Whether a value may be Gradio's name of a browser tab."""
    return isinstance(value, str) and _SESSION_HASH.fullmatch(value) is not None


def is_local(host: str) -> bool:
    """Whether a Host header names this machine, or a notebook's window to it.

    Where there is no login, a page elsewhere could have its own name point to this machine and ask
    in our user's browser; the name is what gives it away.
    """
    name = _name(f"//{host}")
    if name == "localhost" or name.endswith(NOTEBOOK_HOSTS):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_from_elsewhere(asked: Asked, own_hosts: frozenset[str]) -> bool:
    """Whether a page of another origin sent this, where that is not allowed.

    Args:
        asked: The request.
        own_hosts: Names beside the asked one under which the page is served, such as the public
            link's.
    """
    site = asked.headers.get("sec-fetch-site", "")
    origin = asked.headers.get("origin")
    is_safe = asked.method in _SAFE_METHODS
    if site in ("cross-site", "same-site"):
        # A link in a mail or a notebook's frame opens the page; nothing else may be had.
        opens_page = is_safe and asked.headers.get("sec-fetch-mode") == "navigate"
        return not opens_page
    if origin is None:
        return False
    own = {asked.host, *own_hosts}
    if _place(origin) in own and origin != "null":
        return False
    # Colab's window asks under a name of its own, which may be replaced on the way to us.
    is_window = _name(origin).endswith(NOTEBOOK_HOSTS)
    return not (is_window and site == "same-origin")


def _place(url: str) -> str | None:
    """Host and port of a URL; None for what is no URL."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return None


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""

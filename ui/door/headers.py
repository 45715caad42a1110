"""What every answer tells the browser: what the page may load, and who may show it in a frame."""

from __future__ import annotations

from typing import Final

HeaderList = list[tuple[bytes, bytes]]

FRAME_PARENTS: Final = (
    "'self' http://localhost:* http://127.0.0.1:* https://colab.research.google.com "
    "https://*.googleusercontent.com https://*.colab.dev"
)
"""Notebooks: Jupyter on this machine, and Colab with its two frames in between."""


def content_policy(nonce: str) -> str:
    """The page's content security policy.

    Gradio compiles the templates of its HTML component and our few browser handlers with
    `Function`, hence `unsafe-eval`; its components carry styles inline. Scripts in the markup run
    with this answer's nonce alone, so that text which became markup by a mistake stays text.
    """
    rules = {
        "default-src": "'self'",
        "script-src": f"'self' 'unsafe-eval' 'nonce-{nonce}'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "media-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": FRAME_PARENTS,
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def security_headers(nonce: str, *, is_https: bool) -> HeaderList:
    """Headers of every answer."""
    values = {
        "content-security-policy": content_policy(nonce),
        "x-content-type-options": "nosniff",
        # Not `no-referrer`: with it a browser calls the origin of our own form `null`.
        "referrer-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        "cross-origin-resource-policy": "same-origin",
        "x-robots-tag": "noindex, nofollow",
    }
    if is_https:
        values["strict-transport-security"] = "max-age=86400"
    return [(name.encode(), value.encode()) for name, value in values.items()]


def replaced(old: HeaderList, new: HeaderList) -> HeaderList:
    """`old` with the headers of `new` instead of its own of the same name."""
    names = {name for name, _ in new}
    return [pair for pair in old if pair[0].lower() not in names] + new

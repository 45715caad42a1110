"""The login page, and the page as a reviewer gets it.

The login page is plain HTML without a script. A reviewer's page is the owner's with the controls
taken away that a reviewer may not use; that they could not use them anyway is for `calls`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from ui import wording

_STYLE: Final = """
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center;
  font: 16px/1.5 system-ui, sans-serif; background: #f8fafc; color: #1e293b; }
main { width: min(26rem, calc(100vw - 3rem)); background: #fff; padding: 2rem; border-radius: 12px;
  border: 1px solid #cbd5e1; }
h1 { margin: 0 0 .25rem; font-size: 1.5rem; }
p { margin: 0 0 1rem; }
label { display: block; font-weight: 600; margin-bottom: .25rem; }
input, button { box-sizing: border-box; width: 100%; font: inherit; padding: .6rem .75rem;
  border-radius: 8px; border: 1px solid #64748b; }
button { margin-top: 1rem; background: #0f766e; border-color: #0f766e; color: #fff;
  font-weight: 600; cursor: pointer; }
:focus-visible { outline: 3px solid #0f766e; outline-offset: 2px; }
.said { border-left: 4px solid #b91c1c; padding-left: .75rem; }
footer { font-size: .875rem; border-top: 1px solid #cbd5e1; padding-top: 1rem; margin-top: 1.5rem; }
@media (prefers-color-scheme: dark) {
  body { background: #0b1120; color: #e2e8f0; }
  main { background: #111827; border-color: #475569; }
  input { background: #1e293b; color: inherit; }
  footer { border-color: #475569; }
}
"""


def login_page(said: str = "") -> bytes:
    """The form for the password.

    Args:
        said: Why it was refused the last time, or nothing.
    """
    notice = f'<p class="said" role="alert">{escape(said)}</p>' if said else ""
    # The user's name is for password managers; the password alone says who it is.
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in - {escape(wording.TITLE)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{_STYLE}</style></head>
<body><main><h1>{escape(wording.TITLE)}</h1>
<p>{escape(wording.LOGIN)}</p>{notice}
<form method="post" action="login">
<label for="password">Password</label>
<input id="password" name="password" type="password" required autofocus maxlength="200"
  autocomplete="current-password">
<button type="submit">Sign in</button></form>
<footer>{escape(wording.NOT_A_DEVICE)}</footer></main></body></html>
""".encode()


def with_nonce(page: bytes, nonce: str) -> bytes:
    """The page with each of its scripts allowed to run by this answer's policy."""
    return page.replace(b"<script", f'<script nonce="{nonce}"'.encode())


_CONFIG_MARK: Final = b"window.gradio_config = "


def page_for_reviewers(page: bytes, allowed: frozenset[int]) -> bytes:
    """The page's HTML with what a reviewer may use."""
    before, mark, rest = page.partition(_CONFIG_MARK)
    if not mark:
        return page
    text = rest.decode()
    config, end = json.JSONDecoder().raw_decode(text)
    told = json.dumps(config_for_reviewers(config, allowed)).replace("<", "\\u003c")
    return before + mark + told.encode() + text[end:].encode()


def config_for_reviewers(config: dict[str, Any], allowed: frozenset[int]) -> dict[str, Any]:
    """The page's description with the tabs and handlers that a reviewer may use.

    A tab is shown when a control in it may be used. What only the browser does stays for those.
    """
    components = {one["id"]: one for one in config["components"]}
    handlers = [one for one in config["dependencies"] if one["id"] in allowed]
    used = {target for one in handlers for target, _ in one["targets"]}
    tabs = [
        node for node in _nodes(config["layout"]) if components[node["id"]]["type"] == "tabitem"
    ]
    top = _outermost(tabs)
    shown = {node["id"] for node in top if used & set(_ids(node))}
    for node in top:
        components[node["id"]]["props"]["visible"] = node["id"] in shown
    for one in config["components"]:
        props = one["props"]
        if props.get("elem_id") == "tabs":
            names = [components[number]["props"].get("id") for number in sorted(shown)]
            props["selected"] = next(iter(names), None)
        if str(props.get("elem_id") or "").startswith("owner-"):
            props["visible"] = False
    inside = {number for node in top if node["id"] in shown for number in _ids(node)}
    # What goes on from a handler has no control of its own: it belongs where the handler does.
    in_browser = [
        one
        for one in config["dependencies"]
        if not one["backend_fn"]
        and (
            one["trigger_after"] in allowed or any(target in inside for target, _ in one["targets"])
        )
    ]
    return {**config, "dependencies": sorted(handlers + in_browser, key=lambda one: one["id"])}


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for child in node.get("children") or ():
        yield child
        yield from _nodes(child)


def _ids(node: dict[str, Any]) -> Iterator[int]:
    yield node["id"]
    yield from (one["id"] for one in _nodes(node))


def _outermost(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    within = {number for node in nodes for number in _ids(node) if number != node["id"]}
    return [node for node in nodes if node["id"] not in within]

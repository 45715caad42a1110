"""A model hub on loopback: what the hub's client library asks for, for a few models.

`someone/tiny` is whole, `someone/encoder` does not continue text, `someone/gated` asks for consent,
`someone/weights-only` has no description, every other id is unknown.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _models(tiny_model: Path) -> dict[str, dict[str, bytes]]:
    tiny = {file.name: file.read_bytes() for file in tiny_model.iterdir()}
    about = json.loads(tiny["config.json"])
    encoder = json.dumps({**about, "architectures": ["BertForMaskedLM"]}).encode()
    return {
        "someone/tiny": tiny,
        "someone/encoder": {"config.json": encoder},
        "someone/gated": {"config.json": tiny["config.json"]},
        "someone/weights-only": {"model.gguf": b"GGUF"},
    }


class _Hub(BaseHTTPRequestHandler):
    models: Mapping[str, Mapping[str, bytes]]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("api/models/"):
            self._describe("/".join(path.split("/")[2:4]), is_tree="/tree/" in path)
        else:
            self._give(path)

    do_HEAD = do_GET

    def _describe(self, name: str, *, is_tree: bool) -> None:
        if name not in self.models:
            self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
            return
        files = self.models[name]
        tree = [
            {"type": "file", "path": one, "size": len(kept), "oid": hashlib.sha1(kept).hexdigest()}
            for one, kept in files.items()
        ]
        about = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": one} for one in files]}
        self._answer(200, json.dumps(tree if is_tree else about).encode(), {})

    def _give(self, path: str) -> None:
        found = re.fullmatch("([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
        name, file = found.groups() if found else ("", "")
        kept = self.models.get(name, {})
        if name == "someone/gated":
            self._answer(403, b"", {"X-Error-Code": "GatedRepo"})
        elif file not in kept:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            tag = hashlib.sha256(kept[file]).hexdigest()
            self._answer(200, kept[file], {"ETag": f'"{tag}"'})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "X-Repo-Commit": COMMIT}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def hub_of(tiny_model: Path) -> Iterator[str]:
    """Serves the models and gives the address for `HF_ENDPOINT`."""
    serving = type("Hub", (_Hub,), {"models": _models(tiny_model)})
    with ThreadingHTTPServer(("127.0.0.1", 0), serving) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()

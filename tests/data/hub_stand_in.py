"""A stand-in of the Hugging Face hub on this machine: some datasets, over the hub's own HTTP."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

REVISION = "a" * 40
_ROWS = [
    {"question": f"What is sign {n}?", "answer": f"Finding number {n} of many."} for n in range(30)
]
_OTHER = [{"prompt": f"Name {n}.", "completion": f"It is called {n}."} for n in range(5)]


_MEDQA = [
    {
        "id": f"test-{n:05}",
        "sent1": f"A patient shows sign {n}. What is it called?",
        "sent2": "",
        **{f"ending{i}": f"Syndrome {n + i}" for i in range(4)},
        "label": n % 4,
    }
    for n in range(12)
]
_ANATOMY = [
    {
        "question": f"Where is bone {n}?",
        "subject": "anatomy",
        "choices": ["arm", "leg", "head", "hand"],
        "answer": n % 4,
    }
    for n in range(10)
]
_MMLU = b"""---
configs:
- config_name: anatomy
  data_files:
  - {split: test, path: anatomy/test.jsonl}
  - {split: dev, path: anatomy/dev.jsonl}
- config_name: virology
  data_files: other.jsonl
---
"""


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


_TWO_CONFIGS = b"""---
license: mit
configs:
- config_name: short
  data_files: short.jsonl
- config_name: long
  data_files: long.jsonl
---
"""
DATASETS: dict[str, dict[str, bytes]] = {
    "ward/pairs": {
        "README.md": b"---\nlicense: cc-by-4.0\n---\n",
        "train.jsonl": _jsonl(_ROWS[:20]),
        "test.jsonl": _jsonl(_ROWS[20:]),
    },
    "ward/two": {
        "README.md": _TWO_CONFIGS,
        "short.jsonl": _jsonl(_OTHER),
        "long.jsonl": _jsonl(_ROWS),
    },
    "GBaker/MedQA-USMLE-4-options-hf": {
        "README.md": b"hello",
        "train.jsonl": _jsonl(_MEDQA[:2]),
        "test.jsonl": _jsonl(_MEDQA),
    },
    "cais/mmlu": {
        "README.md": _MMLU,
        "anatomy/test.jsonl": _jsonl(_ANATOMY),
        "anatomy/dev.jsonl": _jsonl(_ANATOMY[:2]),
        "other.jsonl": _jsonl(_OTHER),
    },
    "ward/code": {"README.md": b"hello", "code.py": b"open('ran', 'w')"},
}
GATED = "ward/locked"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def _answer(self, body: bytes) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[:2] == ["api", "datasets"]:
            self._api("/".join(parts[2:4]), parts[4:], body)
        elif parts[0] == "datasets" and "resolve" in parts:
            self._file("/".join(parts[1:3]), "/".join(parts[5:]))
        else:
            self._refuse(404, "EntryNotFound")

    def _api(self, name: str, rest: list[str], body: bytes) -> None:
        if name == GATED and rest:
            return self._refuse(403, "GatedRepo")
        if name not in DATASETS and name != GATED:
            return self._refuse(401, "RepoNotFound")
        files = DATASETS.get(name, {"README.md": b""})
        if rest[:1] == ["tree"]:
            return self._json([_entry(path, content) for path, content in files.items()])
        if rest[:1] == ["paths-info"]:
            asked = [one for one in json.loads(body)["paths"] if one in files]
            return self._json([_entry(path, files[path]) for path in asked])
        licence = "cc-by-4.0" if name == "ward/pairs" else "mit"
        info = {"id": name, "sha": REVISION, "private": False, "gated": False, "tags": []}
        siblings = [{"rfilename": path, "size": len(files[path])} for path in files]
        return self._json({**info, "siblings": siblings, "cardData": {"license": licence}})

    def _file(self, name: str, path: str) -> None:
        if name == GATED:
            return self._refuse(403, "GatedRepo")
        if path not in DATASETS[name]:
            return self._refuse(404, "EntryNotFound")
        content, status, extra = DATASETS[name][path], 200, dict[str, str]()
        if given := self.headers.get("Range"):
            start, _, end = given.removeprefix("bytes=").partition("-")
            last = min(int(end or len(content) - 1), len(content) - 1)
            extra["Content-Range"] = f"bytes {start}-{last}/{len(content)}"
            content, status = content[int(start) : last + 1], 206
        etag = hashlib.sha1(DATASETS[name][path]).hexdigest()
        return self._send(status, content, {**extra, "ETag": f'"{etag}"', **_COMMIT})

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code, **_COMMIT})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


_COMMIT = {"X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}


def _entry(path: str, content: bytes) -> dict[str, Any]:
    oid = hashlib.sha1(content).hexdigest()
    return {"type": "file", "path": path, "size": len(content), "oid": oid}


@contextmanager
def served() -> Iterator[str]:
    """The address of the stand-in while it serves."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

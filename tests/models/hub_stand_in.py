"""A model hub on loopback: what the hub's client library asks for, for a few models.

`someone/tiny` is whole, `someone/encoder` does not continue text, `someone/gated` asks for consent,
`someone/weights-only` has no description, `someone/pickled` no safetensors, `someone/plain` no chat
template, and every other id is unknown. `unsloth/Llama-3.2-1B-Instruct` is a model of the
catalogue, played by the tiny one; `add_copy` gives it its 4-bit copy, and its original is gated as
well. `push` publishes a new commit, `forget` takes the older ones away.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LISTED = "unsloth/Llama-3.2-1B-Instruct"
LISTED_COPY = f"{LISTED}-bnb-4bit"
GATED_ORIGINAL = "meta-llama/Llama-3.2-1B-Instruct"
PUSHED = "fedcba9876543210fedcba9876543210fedcba98"


def _models(tiny_model: Path) -> dict[str, dict[str, bytes]]:
    tiny = {file.name: file.read_bytes() for file in tiny_model.iterdir()}
    about = json.loads(tiny["config.json"])
    encoder = json.dumps({**about, "architectures": ["BertForMaskedLM"]}).encode()
    return {
        "someone/tiny": tiny,
        "someone/encoder": {"config.json": encoder},
        "someone/gated": tiny,
        GATED_ORIGINAL: tiny,
        "someone/weights-only": {"model.gguf": b"GGUF"},
        "someone/pickled": {
            "pytorch_model.bin" if name.endswith(".safetensors") else name: content
            for name, content in tiny.items()
        },
        "someone/plain": {k: v for k, v in tiny.items() if k != "chat_template.jinja"},
        LISTED: tiny,
    }


@dataclass(slots=True)
class ModelHub:
    """What the hub holds.

    Attributes:
        endpoint: Its address, for `HF_ENDPOINT`.
        commits: The files of each model by commit, the newest commit last.
        weights: The files of weights that were given, as `owner/name/file`.
    """

    endpoint: str
    commits: dict[str, dict[str, dict[str, bytes]]]
    weights: list[str] = field(default_factory=list)

    def publish(self, name: str, files: Mapping[str, bytes]) -> None:
        """A model called `name` appears, or has these files from now on."""
        self.commits[COMMIT][name] = dict(files)

    def add_copy(self, files: Mapping[str, bytes]) -> None:
        """Publishes `files` as the 4-bit copy of the listed model."""
        self.commits[COMMIT][LISTED_COPY] = dict(files)

    def push(self, name: str, file: str, content: bytes) -> None:
        """A vendor publishes another `file` of the model called `name`."""
        files = next(reversed(self.commits.values()))[name]
        self.commits[PUSHED] = {name: {**files, file: content}}

    def forget(self) -> None:
        """All commits but the newest are taken away."""
        for old in list(self.commits)[:-1]:
            del self.commits[old]


class _Hub(BaseHTTPRequestHandler):
    hub: ModelHub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("api/models/"):
            parts = path.split("/")
            asked = parts[5] if parts[4:5] in (["tree"], ["revision"]) else "main"
            self._describe("/".join(parts[2:4]), asked, is_tree="/tree/" in path)
        else:
            self._give(path)

    do_HEAD = do_GET

    def _describe(self, name: str, asked: str, *, is_tree: bool) -> None:
        commit, files = self._files(name, asked)
        if files is None:
            return
        tree = [
            {"type": "file", "path": one, "size": len(kept), "oid": hashlib.sha1(kept).hexdigest()}
            for one, kept in files.items()
        ]
        siblings = [{"rfilename": one, "size": len(kept)} for one, kept in files.items()]
        about = {"id": name, "sha": commit, "siblings": siblings}
        self._answer(200, json.dumps(tree if is_tree else about).encode(), {}, commit)

    def _give(self, path: str) -> None:
        found = re.fullmatch("([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        name, asked, file = found.groups() if found else ("", "main", "")
        commit, files = self._files(name, asked)
        if files is None:
            return
        if name in ("someone/gated", GATED_ORIGINAL):
            self._answer(403, b"", {"X-Error-Code": "GatedRepo"})
        elif file not in files:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"}, commit)
        else:
            if self.command == "GET" and file.endswith((".safetensors", ".bin")):
                self.hub.weights.append(f"{name}/{file}")
            tag = hashlib.sha256(files[file]).hexdigest()
            self._answer(200, files[file], {"ETag": f'"{tag}"'}, commit)

    def _files(self, name: str, asked: str) -> tuple[str, Mapping[str, bytes] | None]:
        """The commit and its files; or None, once it was answered that there are none."""
        newest = next(
            (one for one in reversed(self.hub.commits) if name in self.hub.commits[one]), ""
        )
        commit = newest if asked == "main" else asked
        if not newest:
            self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif name not in self.hub.commits.get(commit, {}):
            self._answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            return commit, self.hub.commits[commit][name]
        return "", None

    def _answer(self, status: int, body: bytes, headers: dict[str, str], commit: str = "") -> None:
        self.send_response(status)
        known = {"X-Repo-Commit": commit} if commit else {}
        for key, value in {**headers, **known}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def model_hub(tiny_model: Path) -> Iterator[ModelHub]:
    """Serves the models."""
    hub = ModelHub("", {COMMIT: _models(tiny_model)})
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (_Hub,), {"hub": hub})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        yield hub
        server.shutdown()


@contextmanager
def hub_of(tiny_model: Path) -> Iterator[str]:
    """Serves the models and gives the address for `HF_ENDPOINT`."""
    with model_hub(tiny_model) as hub:
        yield hub.endpoint

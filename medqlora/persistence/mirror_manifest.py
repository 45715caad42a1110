"""The manifest of a copy in the mirror: what it says, and that it is not believed.

What is copied is a folder of the workspace, `runs/ID` or `datasets/ID`, and is called so in the
mirror too. A mirror may have been written to by anybody who has its address. A manifest names files
by their path in that folder, from a fixed list of places; where they are stored follows from that.
Sizes and counts are bounded, and a seal tells a torn manifest from a whole one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medqlora.errors import PersistenceError
from medqlora.persistence.cloud import StoredFile
from medqlora.persistence.workspace import is_id

RUNS, DATASETS = "runs", "datasets"
"""What is copied: the folders in these two of the workspace."""
EVENTS = "events.jsonl"
RELATED = "related"
"""Folder of a copy with what belongs to the run and lies beside it; see `runs.related`."""
MAX_MANIFEST_BYTES = 2**20

_MAX_FILE_BYTES = 64 * 2**30
_MAX_FILES = 4000
_FORMAT = 1
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
_PATHS = {
    RUNS: re.compile(
        rf"run\.json|events\.jsonl|data/(train|eval)\.jsonl|adapter/{_NAME}"
        rf"|{RELATED}/(evaluations|exams|panels|reviews|datasets)/{_NAME}/(data/)?{_NAME}"
        rf"|checkpoints/checkpoint-[0-9]{{1,9}}/({_NAME}/){{0,2}}{_NAME}"
    ),
    DATASETS: re.compile(r"dataset\.json|(train|eval)\.jsonl"),
}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATE = re.compile(r"([^/]+/[^/]+)/state-[0-9]{4,9}-[0-9]{8,12}(_[0-9]{6})?\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderCopy:
    """What to copy of a folder; the files must not change any more.

    Attributes:
        folder: Which one, as a path in the workspace.
        name: What the user calls it.
        files: Where each file lies, by its path in the folder.
        attempt: Of a run: attempts begun so far.
        seq: Of a run: the last event in the copied log.
        step: Of a run: step of the checkpoint among the files, 0 without one.
        outcome: Of a run: how the attempt ended, in one word, or empty while it is going on.
        digest: SHA-256 over what can change without an event: of a run, what belongs to it and lies
            beside it, empty without any; of a dataset, its entries.
    """

    folder: str
    name: str
    files: Mapping[str, Path]
    attempt: int = 0
    seq: int = 0
    step: int = 0
    outcome: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredState:
    """A copy of a folder as its manifest describes it.

    Attributes:
        folder: Which one; this and what follows as in `FolderCopy`.
        name: What the user calls it.
        attempt: Attempts begun so far.
        seq: The last event in the copied log.
        version: How often what `digest` sums up had changed since that event.
        digest: SHA-256 over what can change without an event.
        step: Step of the checkpoint among the files, 0 without one.
        outcome: How the attempt ended, in one word, or empty while it is going on.
        at: When it was written, UTC.
        files: What was stored, by path in the folder.
    """

    folder: str
    name: str
    attempt: int
    seq: int
    step: int
    outcome: str
    at: datetime
    files: Mapping[str, StoredFile]
    version: int = 0
    digest: str = ""

    @property
    def key(self) -> str:
        """Where its manifest is stored; of two copies of a folder the newer has the greater key.

        A later attempt is newer, whatever its step.
        """
        # "_" is greater than ".", so that a later version has a greater key than the first.
        version = f"_{self.version:06d}" if self.version else ""
        return f"{self.folder}/state-{self.attempt:04d}-{self.seq:08d}{version}.json"

    @property
    def size_bytes(self) -> int:
        """Size of all its files."""
        return sum(one.size_bytes for one in self.files.values())

    def fits(self, sizes: Mapping[str, int]) -> bool:
        """Whether all its files have their size among what is stored."""
        return all(sizes.get(one.key) == one.size_bytes for one in self.files.values())

    def has_own(self, sizes: Mapping[str, int]) -> bool:
        """As `fits`, without what lies beside: a damaged evaluation must not cost a checkpoint."""
        files = [one for path, one in self.files.items() if not is_beside(path)]
        return all(sizes.get(one.key) == one.size_bytes for one in files)


class NotOursError(PersistenceError):
    """A manifest that is torn, or that somebody else has written."""

    def __init__(self) -> None:
        super().__init__("A copy in the mirror is damaged.", hint="An older one is used instead.")


def _sealed(state: Mapping[str, Any]) -> str:
    text = json.dumps(state, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def stored_key(folder: str, path: str, sha256: str) -> str:
    """Where a file is stored: its contents are part of the name.

    So no copy ever overwrites a file that another one needs, not even that of a second machine.
    """
    place, _, name = f"{folder}/{path}".rpartition("/")
    return f"{place}/{sha256[:12]}-{name}"


def is_mirrored(folder: str) -> bool:
    """Whether `folder`, which may come from anybody, is a path of one that is copied."""
    kind, _, name = folder.partition("/")
    return kind in _PATHS and is_id(name)


def is_beside(path: str) -> bool:
    """Whether a file of a copy belongs to the run without being part of it."""
    return path.startswith(f"{RELATED}/")


def manifest_of(key: str) -> str:
    """The folder whose manifest is stored under `key`, or nothing when it is none."""
    found = _STATE.fullmatch(key)
    return found[1] if found else ""


def to_json(state: MirroredState) -> dict[str, Any]:
    """The manifest as JSON, sealed."""
    body = {
        "format": _FORMAT,
        "folder": state.folder,
        "name": state.name,
        "attempt": state.attempt,
        "seq": state.seq,
        "version": state.version,
        "digest": state.digest,
        "step": state.step,
        "outcome": state.outcome,
        "at": state.at.isoformat(),
        "files": {
            path: {"bytes": one.size_bytes, "sha256": one.sha256}
            for path, one in state.files.items()
        },
    }
    return {"state": body, "sha256": _sealed(body)}


def from_json(data: bytes, folder: str) -> MirroredState:
    """The copy that a manifest describes.

    Raises:
        NotOursError: It is torn, or says something that ours never say.
    """
    try:
        document = json.loads(data)
        body = document["state"]
        # Manifests written before datasets were copied too name a run.
        named = body.get("folder", f"{RUNS}/{body.get('run_id')}")
        if document["sha256"] != _sealed(body) or named != folder:
            raise NotOursError
        return MirroredState(
            folder=folder,
            name=str(body["name"])[:200],
            attempt=_number(body["attempt"], most=10**8),
            seq=_number(body["seq"], most=10**11),
            version=_number(body.get("version", 0), most=999_999),
            digest=str(body.get("digest", ""))[:64],
            step=_number(body["step"], most=10**8),
            outcome=str(body["outcome"])[:20],
            at=datetime.fromisoformat(body["at"]).astimezone(UTC),
            files=_files(body["files"], folder),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise NotOursError from None


def _files(listed: Mapping[str, Any], folder: str) -> dict[str, StoredFile]:
    """Where each file is stored, from its path at home: a manifest has no say in that."""
    known = _PATHS[folder.partition("/")[0]]
    if len(listed) > _MAX_FILES or not all(known.fullmatch(path) for path in listed):
        raise NotOursError
    if not all(_SHA256.fullmatch(about["sha256"]) for about in listed.values()):
        raise NotOursError
    return {
        path: StoredFile(
            key=stored_key(folder, path, about["sha256"]),
            size_bytes=_number(about["bytes"], most=_MAX_FILE_BYTES),
            sha256=about["sha256"],
        )
        for path, about in listed.items()
    }


def _number(value: Any, *, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise NotOursError
    return value

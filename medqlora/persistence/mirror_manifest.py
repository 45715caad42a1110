"""The manifest of a copy in the mirror: what it says, and that it is not believed.

A mirror may have been written to by anybody who has its address. A manifest names files by their
path in a run's directory, from a fixed list of places; where they are stored follows from that.
Sizes and counts are bounded, and a seal tells a torn manifest from a whole one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from medqlora.errors import PersistenceError
from medqlora.persistence.cloud import StoredFile

EVENTS = "events.jsonl"
RELATED = "related"
"""Folder of a copy with what belongs to the run and lies beside it; see `runs.related`."""
MAX_MANIFEST_BYTES = 2**20

_MAX_FILE_BYTES = 64 * 2**30
_MAX_FILES = 4000
_FORMAT = 1
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
_PATH = re.compile(
    rf"run\.json|events\.jsonl|data/(train|eval)\.jsonl|adapter/{_NAME}"
    rf"|{RELATED}/(evaluations|exams|panels|reviews|datasets)/{_NAME}/(data/)?{_NAME}"
    rf"|checkpoints/checkpoint-[0-9]{{1,9}}/({_NAME}/){{0,2}}{_NAME}"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATE = re.compile(r"runs/([^/]+)/state-[0-9]{4,9}-[0-9]{8,12}(_[0-9]{6})?\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredState:
    """A copy of a run as its manifest describes it.

    Attributes:
        run_id: The run.
        name: What the user calls it.
        attempt: Attempts begun so far.
        seq: The last event in the copied log.
        version: How often what belongs to the run had changed since that event.
        related: SHA-256 over what belongs to the run, empty where nothing does.
        step: Step of the checkpoint among the files, 0 without one.
        outcome: How the attempt ended, in one word, or empty while it is going on.
        at: When it was written, UTC.
        files: What was stored, by path in the run's directory.
    """

    run_id: str
    name: str
    attempt: int
    seq: int
    step: int
    outcome: str
    at: datetime
    files: Mapping[str, StoredFile]
    version: int = 0
    related: str = ""

    @property
    def key(self) -> str:
        """Where its manifest is stored; of two copies of a run the newer has the greater key.

        A later attempt is newer, whatever its step.
        """
        # "_" is greater than ".", so that a later version has a greater key than the first.
        version = f"_{self.version:06d}" if self.version else ""
        return f"runs/{self.run_id}/state-{self.attempt:04d}-{self.seq:08d}{version}.json"

    @property
    def size_bytes(self) -> int:
        """Size of all its files."""
        return sum(one.size_bytes for one in self.files.values())

    def fits(self, sizes: Mapping[str, int]) -> bool:
        """Whether all its files have their size among what is stored."""
        return all(sizes.get(one.key) == one.size_bytes for one in self.files.values())

    def has_run(self, sizes: Mapping[str, int]) -> bool:
        """As `fits`, of the run alone: a damaged evaluation must not cost a checkpoint."""
        files = [one for path, one in self.files.items() if not is_beside(path)]
        return all(sizes.get(one.key) == one.size_bytes for one in files)


class NotOursError(PersistenceError):
    """A manifest that is torn, or that somebody else has written."""

    def __init__(self) -> None:
        super().__init__("A copy in the mirror is damaged.", hint="An older one is used instead.")


def _sealed(state: Mapping[str, Any]) -> str:
    text = json.dumps(state, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def stored_key(run_id: str, path: str, sha256: str) -> str:
    """Where a file is stored: its contents are part of the name.

    So no copy ever overwrites a file that another one needs, not even that of a second machine.
    """
    folder, _, name = f"runs/{run_id}/{path}".rpartition("/")
    return f"{folder}/{sha256[:12]}-{name}"


def is_beside(path: str) -> bool:
    """Whether a file of a copy belongs to the run without being part of it."""
    return path.startswith(f"{RELATED}/")


def manifest_of(key: str) -> str:
    """The run whose manifest is stored under `key`, or nothing when it is none."""
    found = _STATE.fullmatch(key)
    return found[1] if found else ""


def to_json(state: MirroredState) -> dict[str, Any]:
    """The manifest as JSON, sealed."""
    body = {
        "format": _FORMAT,
        "run_id": state.run_id,
        "name": state.name,
        "attempt": state.attempt,
        "seq": state.seq,
        "version": state.version,
        "related": state.related,
        "step": state.step,
        "outcome": state.outcome,
        "at": state.at.isoformat(),
        "files": {
            path: {"bytes": one.size_bytes, "sha256": one.sha256}
            for path, one in state.files.items()
        },
    }
    return {"state": body, "sha256": _sealed(body)}


def from_json(data: bytes, run_id: str) -> MirroredState:
    """The copy that a manifest describes.

    Raises:
        NotOursError: It is torn, or says something that ours never say.
    """
    try:
        document = json.loads(data)
        body = document["state"]
        if document["sha256"] != _sealed(body) or body["run_id"] != run_id:
            raise NotOursError
        return MirroredState(
            run_id=run_id,
            name=str(body["name"])[:200],
            attempt=_number(body["attempt"], most=10**8),
            seq=_number(body["seq"], most=10**11),
            version=_number(body.get("version", 0), most=999_999),
            related=str(body.get("related", ""))[:64],
            step=_number(body["step"], most=10**8),
            outcome=str(body["outcome"])[:20],
            at=datetime.fromisoformat(body["at"]).astimezone(UTC),
            files=_files(body["files"], run_id),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise NotOursError from None


def _files(listed: Mapping[str, Any], run_id: str) -> dict[str, StoredFile]:
    """Where each file is stored, from its path at home: a manifest has no say in that."""
    if len(listed) > _MAX_FILES or not all(_PATH.fullmatch(path) for path in listed):
        raise NotOursError
    if not all(_SHA256.fullmatch(about["sha256"]) for about in listed.values()):
        raise NotOursError
    return {
        path: StoredFile(
            key=stored_key(run_id, path, about["sha256"]),
            size_bytes=_number(about["bytes"], most=_MAX_FILE_BYTES),
            sha256=about["sha256"],
        )
        for path, about in listed.items()
    }


def _number(value: Any, *, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise NotOursError
    return value

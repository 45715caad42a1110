"""What is safe in the mirror and what is still to be copied, as it stands on this machine's disk.

`mirror/state.json` of the workspace is written by the mirror's process alone and read by anybody;
what a run has come to is read from its own log. Runs and datasets are called by their paths in the
workspace, such as `datasets/ID`. Nothing here touches the mirror, so nothing here
can hang with it.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from medqlora.data.preparing.prepared import CARD, SIDES
from medqlora.domain.events import CheckpointSaved, Outcome, RunStarted
from medqlora.errors import MedQLoRAError
from medqlora.persistence.atomic import translated_os_errors, write_json
from medqlora.persistence.mirror_manifest import DATASETS, RUNS
from medqlora.persistence.storage_address import StorageAddress
from medqlora.persistence.workspace import Workspace, is_id
from medqlora.runs.event_log import EventLogReader
from medqlora.runs.process import recorded_process
from medqlora.runs.related import RelatedRecords
from medqlora.runs.run_directory import RunDirectory

FIRST_DELAY_SECONDS = 2.0
LONGEST_DELAY_SECONDS = 300.0
UPLOADING_SECONDS = 5.0
"""How long to wait before asking again whether a drive has passed its files on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorRecord:
    """How far the copy of a run or dataset is.

    Attributes:
        seq: The last event in the newest copy that is safe, 0 without one and for a dataset.
        step: Step of the checkpoint in it.
        digest: What is copied without an event, as it was by then: what belongs to a run, as
            `runs.related` sums it up, or the entries of a dataset.
        log_bytes: Size of the event log when a run that is over was safe, else 0.
        size_bytes: Size of the copy.
        seconds: What the last push took.
        is_uploading: Whether the drive holds a newer copy that has not left this machine.
        tries: Pushes that have failed since the last one that did not.
        trouble: Why the last one failed, empty when it did not.
        hint: The way out.
        next_try_at: When to push again, in seconds since 1970; 0 for as soon as there is something.
    """

    seq: int = 0
    step: int = 0
    digest: str = ""
    log_bytes: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    is_uploading: bool = False
    tries: int = 0
    trouble: str = ""
    hint: str = ""
    next_try_at: float = 0.0


@dataclass(slots=True)
class _Watched:
    """What calls for a copy: an event of a run's log, or what changes without one."""

    wanted_seq: int = 0
    digest: str = ""
    is_over: bool = False


@dataclass(slots=True)
class MirrorBacklog:
    """The runs and datasets of a workspace and how far their copies are.

    Args:
        workspace: The workspace.
        address: Where to; records of another place do not count.
    """

    workspace: Workspace
    address: StorageAddress
    records: dict[str, MirrorRecord] = field(default_factory=dict)
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _readers: dict[str, EventLogReader] = field(default_factory=dict)
    _related: RelatedRecords = field(init=False)

    def __post_init__(self) -> None:
        self._related = RelatedRecords(self.workspace)

    def load(self) -> None:
        """Reads the records anew."""
        try:
            text = (self.workspace.mirror / "state.json").read_text(encoding="utf-8")
            document = json.loads(text)
            is_same = document["address"] == asdict(self.address)
            found = {name: MirrorRecord(**one) for name, one in document["folders"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            is_same, found = False, {}  # copies that are there are found again, and cost a look
        self.records = found if is_same else {}

    @property
    def is_known(self) -> bool:
        """Whether something was copied there before."""
        return any(one.size_bytes for one in self.records.values())

    def look(self) -> None:
        """Reads what is new in the logs of the runs, and which datasets there are."""
        runs = self._folders_with("run.json", RUNS)
        # A folder under a name that is no id can neither be chosen nor copied.
        found = self._folders_with(CARD, DATASETS)
        datasets = {folder: path for folder, path in found.items() if is_id(path.name)}
        for gone in set(self._watched) - set(runs) - set(datasets):
            del self._watched[gone]
            self._readers.pop(gone, None)
        for folder, path in runs.items():
            self._look_at_run(folder, RunDirectory(path))
        for folder, path in datasets.items():
            self._watched[folder] = _Watched(digest=_state_of_dataset(path), is_over=True)

    def _look_at_run(self, folder: str, run: RunDirectory) -> None:
        digest = self._related.state(run)
        if folder not in self._watched and self._is_done_with(folder, digest):
            return
        watched = self._watched.setdefault(folder, _Watched())
        watched.digest = digest
        for event in self._readers.setdefault(folder, EventLogReader(run.events)).read_new():
            if isinstance(event, RunStarted | CheckpointSaved | Outcome):
                watched.wanted_seq = event.seq
                watched.is_over = isinstance(event, Outcome)

    def _folders_with(self, record: str, kind: str) -> dict[str, Path]:
        found = (one.parent for one in (self.workspace.root / kind).glob(f"*/{record}"))
        return {f"{kind}/{one.name}": one for one in found}

    def is_safe(self, folder: str) -> bool:
        """Whether everything of a run or dataset that calls for a copy has one."""
        watched = self._watched.get(folder)
        record = self.records.get(folder, MirrorRecord())
        return watched is None or (
            record.seq >= watched.wanted_seq
            and record.digest == watched.digest
            and not record.is_uploading
        )

    def due(self) -> str | None:
        """What to copy now: runs that are going on, then datasets, which are small, then others.

        Of several runs the newest.
        """
        now = time.time()
        waiting = [
            folder
            for folder in self._watched
            if not self.is_safe(folder)
            and not 0 < self._seconds_left(folder, now) <= LONGEST_DELAY_SECONDS
        ]
        return max(
            waiting,
            key=lambda one: (not self._watched[one].is_over, one.startswith(DATASETS), one),
            default=None,
        )

    def _seconds_left(self, folder: str, now: float) -> float:
        """Until the next try; more than the longest delay where the clock was set back since."""
        return self.records.get(folder, MirrorRecord()).next_try_at - now

    def is_waiting(self) -> bool:
        """Whether something is still to be copied, now or later."""
        return not all(self.is_safe(folder) for folder in self._watched)

    def is_live(self) -> bool:
        """Whether a run is going on, so that there will be more to copy."""
        return any(
            recorded_process(RunDirectory(self.workspace.root / folder).worker_file) is not None
            for folder, one in self._watched.items()
            if not one.is_over
        )

    def succeeded(self, folder: str, pushed: dict[str, Any], *, seconds: float) -> None:
        """Writes down that a push is done."""
        before = self.records.get(folder, MirrorRecord())
        if pushed["is_settled"]:
            record = MirrorRecord(
                seq=pushed["seq"],
                step=pushed["step"],
                size_bytes=pushed["size_bytes"],
                seconds=round(seconds, 3),
                # As of the look before the push: what has changed since calls for another one.
                digest=self._watched[folder].digest if folder in self._watched else "",
                log_bytes=self._log_bytes(folder) if pushed["outcome"] else 0,
            )
        else:
            later = time.time() + UPLOADING_SECONDS
            record = replace(
                before, is_uploading=True, tries=0, trouble="", hint="", next_try_at=later
            )
        self._write(folder, record)

    def failed(self, folder: str, error: MedQLoRAError) -> None:
        """Writes down that a push failed, and when to try again."""
        before = self.records.get(folder, MirrorRecord())
        delay = min(FIRST_DELAY_SECONDS * 2.0 ** min(before.tries, 20), LONGEST_DELAY_SECONDS)
        self._write(
            folder,
            replace(
                before,
                tries=before.tries + 1,
                trouble=error.message,
                hint=error.hint,
                next_try_at=time.time() + delay,
            ),
        )

    def _is_done_with(self, folder: str, digest: str) -> bool:
        known = self.records.get(folder)
        is_whole = known is not None and 0 < known.log_bytes == self._log_bytes(folder)
        return is_whole and known is not None and known.digest == digest

    def _log_bytes(self, folder: str) -> int:
        try:
            return RunDirectory(self.workspace.root / folder).events.stat().st_size
        except FileNotFoundError:
            return 0

    def _write(self, folder: str, record: MirrorRecord) -> None:
        self.records[folder] = record
        about = {name: asdict(one) for name, one in self.records.items()}
        with translated_os_errors(self.workspace.root):
            self.workspace.mirror.mkdir(exist_ok=True)
        write_json(
            self.workspace.mirror / "state.json",
            {"address": asdict(self.address), "folders": about},
        )


def _state_of_dataset(folder: Path) -> str:
    """Something that changes when the entries of a dataset do; its card notes when it was used."""
    seen = []
    for name in SIDES:
        with suppress(OSError):  # removed in this moment
            about = (folder / name).stat()
            seen.append(f"{name} {about.st_size} {about.st_mtime_ns}")
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()

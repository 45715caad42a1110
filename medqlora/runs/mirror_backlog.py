"""What is safe in the mirror and what is still to be copied, as it stands on this machine's disk.

`mirror/state.json` of the workspace is written by the mirror's process alone and read by anybody;
what a run has come to is read from its own log. Nothing here touches the mirror, so nothing here
can hang with it.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from medqlora.domain.events import CheckpointSaved, Outcome, RunStarted
from medqlora.errors import MedQLoRAError
from medqlora.persistence.atomic import translated_os_errors, write_json
from medqlora.persistence.storage_address import StorageAddress
from medqlora.persistence.workspace import Workspace
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
    """How far the copy of a run is.

    Attributes:
        seq: The last event in the newest copy that is safe, 0 without one.
        step: Step of the checkpoint in it.
        related: What belonged to the run by then, as `runs.related` sums it up.
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
    related: str = ""
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
    """What calls for a copy: an event of a run's log, or what belongs to it; and if it is over."""

    reader: EventLogReader
    wanted_seq: int = 0
    related: str = ""
    is_over: bool = False


@dataclass(slots=True)
class MirrorBacklog:
    """The runs of a workspace and how far their copies are.

    Args:
        workspace: The workspace.
        address: Where to; records of another place do not count.
    """

    workspace: Workspace
    address: StorageAddress
    records: dict[str, MirrorRecord] = field(default_factory=dict)
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _related: RelatedRecords = field(init=False)

    def __post_init__(self) -> None:
        self._related = RelatedRecords(self.workspace)

    def load(self) -> None:
        """Reads the records anew."""
        try:
            text = (self.workspace.mirror / "state.json").read_text(encoding="utf-8")
            document = json.loads(text)
            is_same = document["address"] == asdict(self.address)
            found = {name: MirrorRecord(**one) for name, one in document["runs"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            is_same, found = False, {}  # copies that are there are found again, and cost a look
        self.records = found if is_same else {}

    @property
    def is_known(self) -> bool:
        """Whether something was copied there before."""
        return any(one.seq for one in self.records.values())

    def look(self) -> None:
        """Reads what is new in the logs of the runs."""
        there = {path.parent.name: path.parent for path in self.workspace.runs.glob("*/run.json")}
        for gone in set(self._watched) - set(there):
            del self._watched[gone]
        for run_id, path in there.items():
            run = RunDirectory(path)
            related = self._related.state(run)
            if run_id not in self._watched and self._is_done_with(run, related):
                continue
            watched = self._watched.setdefault(run_id, _Watched(EventLogReader(run.events)))
            watched.related = related
            for event in watched.reader.read_new():
                if isinstance(event, RunStarted | CheckpointSaved | Outcome):
                    watched.wanted_seq = event.seq
                    watched.is_over = isinstance(event, Outcome)

    def is_safe(self, run_id: str) -> bool:
        """Whether everything of a run that calls for a copy has one."""
        watched = self._watched.get(run_id)
        record = self.records.get(run_id, MirrorRecord())
        return watched is None or (
            record.seq >= watched.wanted_seq
            and record.related == watched.related
            and not record.is_uploading
        )

    def due(self) -> str | None:
        """The run to copy now: those that are going on first, then the newest."""
        now = time.time()
        waiting = [
            run_id
            for run_id in self._watched
            if not self.is_safe(run_id)
            and not 0 < self._seconds_left(run_id, now) <= LONGEST_DELAY_SECONDS
        ]
        return max(waiting, key=lambda one: (not self._watched[one].is_over, one), default=None)

    def _seconds_left(self, run_id: str, now: float) -> float:
        """Until the next try; more than the longest delay where the clock was set back since."""
        return self.records.get(run_id, MirrorRecord()).next_try_at - now

    def is_waiting(self) -> bool:
        """Whether something is still to be copied, now or later."""
        return not all(self.is_safe(run_id) for run_id in self._watched)

    def is_live(self) -> bool:
        """Whether a run is going on, so that there will be more to copy."""
        return any(
            recorded_process(RunDirectory(self.workspace.runs / run_id).worker_file) is not None
            for run_id, one in self._watched.items()
            if not one.is_over
        )

    def succeeded(self, run_id: str, pushed: dict[str, Any], *, seconds: float) -> None:
        """Writes down that a push is done."""
        before = self.records.get(run_id, MirrorRecord())
        if pushed["is_settled"]:
            record = MirrorRecord(
                seq=pushed["seq"],
                step=pushed["step"],
                size_bytes=pushed["size_bytes"],
                seconds=round(seconds, 3),
                # As of the look before the push: what has changed since calls for another one.
                related=self._watched[run_id].related if run_id in self._watched else "",
                log_bytes=self._log_bytes(run_id) if pushed["outcome"] else 0,
            )
        else:
            later = time.time() + UPLOADING_SECONDS
            record = replace(
                before, is_uploading=True, tries=0, trouble="", hint="", next_try_at=later
            )
        self._write(run_id, record)

    def failed(self, run_id: str, error: MedQLoRAError) -> None:
        """Writes down that a push failed, and when to try again."""
        before = self.records.get(run_id, MirrorRecord())
        delay = min(FIRST_DELAY_SECONDS * 2.0 ** min(before.tries, 20), LONGEST_DELAY_SECONDS)
        self._write(
            run_id,
            replace(
                before,
                tries=before.tries + 1,
                trouble=error.message,
                hint=error.hint,
                next_try_at=time.time() + delay,
            ),
        )

    def _is_done_with(self, run: RunDirectory, related: str) -> bool:
        known = self.records.get(run.run_id)
        is_whole = known is not None and 0 < known.log_bytes == self._log_bytes(run.run_id)
        return is_whole and known is not None and known.related == related

    def _log_bytes(self, run_id: str) -> int:
        try:
            return RunDirectory(self.workspace.runs / run_id).events.stat().st_size
        except FileNotFoundError:
            return 0

    def _write(self, run_id: str, record: MirrorRecord) -> None:
        self.records[run_id] = record
        about = {name: asdict(one) for name, one in self.records.items()}
        with translated_os_errors(self.workspace.root):
            self.workspace.mirror.mkdir(exist_ok=True)
        write_json(
            self.workspace.mirror / "state.json", {"address": asdict(self.address), "runs": about}
        )

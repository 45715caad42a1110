"""MirrorService: what is safe elsewhere, and how a run comes back from there.

It reads what the mirror's process writes on this machine's disk and sends couriers with a bound on
their silence, so that a mount which hangs never holds up whoever asks.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from medqlora.domain.snapshot import RunSnapshot
from medqlora.errors import MedQLoRAError, PersistenceError
from medqlora.persistence.storage_address import StorageAddress, read_mirror, set_mirror
from medqlora.persistence.workspace import Workspace
from medqlora.runs.courier import Courier
from medqlora.runs.mirror_backlog import MirrorBacklog, MirrorRecord
from medqlora.runs.mirror_worker import ensure_mirroring
from medqlora.services.training import TrainingService

ASKING_SECONDS = 60.0
"""How long a storage may be silent when somebody waits for the answer."""
_LOOK_SECONDS = 5.0
_ASK_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorStatus:
    """How safe a run is.

    Attributes:
        place: What the user calls the mirror.
        is_safe: Whether everything there is to copy of the run so far is there, and was read back.
        step: Step of the newest checkpoint that is safe, 0 without one.
        message: The same in words.
    """

    place: str
    is_safe: bool
    step: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredRun:
    """A run that is in the mirror.

    Attributes:
        run_id: The run.
        name: What the user called it.
        step: Step of its newest checkpoint there.
        at: When it was copied, UTC, ISO 8601.
        size_bytes: What it takes to bring it back.
        is_done: Whether it has succeeded, so that there is nothing to go on with.
        is_here: Whether this workspace has it too.
    """

    run_id: str
    name: str
    step: int
    at: str
    size_bytes: int
    is_done: bool
    is_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredRun:
    """A run that was brought back.

    Attributes:
        run_id: The run.
        step: The step it goes on from.
        can_resume: Whether there is anything to go on with.
        message: What came back, and what did not.
    """

    run_id: str
    step: int
    can_resume: bool
    message: str


class MirrorService:
    """The mirror of a workspace.

    Args:
        workspace: The workspace.
        training: Its runs.
    """

    def __init__(self, workspace: Workspace, training: TrainingService) -> None:
        self._workspace = workspace
        self._training = training
        self._courier = Courier(workspace, silence_seconds=ASKING_SECONDS)
        self._lock = threading.Lock()
        self._backlog: MirrorBacklog | None = None
        self._offered: tuple[MirroredRun, ...] = ()
        self._closed = threading.Event()

    def configure(self, address: str | None) -> None:
        """Sets where the workspace is mirrored to; see `storage_address.set_mirror`.

        Raises:
            StorageUnavailableError: It is no address, or a package that it needs is missing.
        """
        set_mirror(self._workspace, address)

    def address(self) -> StorageAddress | None:
        """Where the workspace is mirrored to, or None for nowhere.

        Raises:
            StorageUnavailableError: What was set needs a package that is missing.
        """
        return read_mirror(self._workspace)

    def is_set(self) -> bool:
        """Whether the workspace has a mirror that can be used."""
        return self._usable_address() is not None

    def ensure(self) -> None:
        """Sees to it that copying goes on in the background, if there is a mirror."""
        if self.is_set():
            ensure_mirroring(self._workspace)

    def watch(self) -> None:
        """From now on keeps the copying alive, and finds out what the mirror has to offer."""
        threading.Thread(target=self._watch, name="mirror", daemon=True).start()

    def close(self) -> None:
        """Ends the watching; what is being copied goes on."""
        self._closed.set()

    def state(self, run_id: str) -> MirrorStatus | None:
        """How safe a run is, or None where there is no mirror."""
        backlog = self._looked()
        if backlog is None:
            return None
        snapshot = self._training.snapshot(run_id)
        record = backlog.records.get(run_id, MirrorRecord())
        is_safe = backlog.is_safe(run_id)
        place = backlog.address.label
        message = _safe(place, record, snapshot) if is_safe else _not_yet(place, record)
        return MirrorStatus(place=place, is_safe=is_safe, step=record.step, message=message)

    def wait_until_safe(self, run_id: str, seconds: float) -> MirrorStatus | None:
        """How safe a run is, once it is safe or there is trouble, or after `seconds`."""
        with suppress(PersistenceError):  # a full disk is told by what needs it
            self.ensure()
        deadline = time.monotonic() + seconds
        while True:
            state = self.state(run_id)
            if state is None or state.is_safe or time.monotonic() > deadline:
                return state
            time.sleep(0.2)

    def runs(self) -> tuple[MirroredRun, ...]:
        """The runs in the mirror, the latest first.

        Raises:
            StorageUnavailableError: It cannot be reached, or there is none.
        """
        found = self._courier.send("list", self._needed_address())["runs"]
        here = {one.run_id for one in self._training.directories()}
        return tuple(_mirrored(one, is_here=one["run_id"] in here) for one in found)

    def offered(self) -> MirroredRun | None:
        """The last run that is in the mirror and not here, as far as is known by now.

        One that can go on comes before one that is done.
        """
        here = {one.run_id for one in self._training.directories()}
        return _last(tuple(one for one in self._offered if one.run_id not in here))

    def restore(self, run_id: str | None = None) -> RestoredRun:
        """Brings a run back from the mirror; nothing that is here is overwritten.

        Args:
            run_id: Which one; the last one that is not here when not given.

        Raises:
            StorageUnavailableError: The mirror cannot be reached, or there is none.
            PersistenceError: There is no such run there, no whole copy, or it is here already.
            DiskFullError: There is no space for it here.
        """
        chosen = run_id or self._last_elsewhere()
        brought = self._courier.send("restore", self._needed_address(), chosen)
        lost = (
            "A newer copy was damaged, so the one before was used. "
            if brought["num_passed_over"]
            else ""
        )
        can_resume = self._training.snapshot(chosen).can_resume
        end = f"It goes on from step {brought['step']}." if can_resume else "It is complete."
        return RestoredRun(
            run_id=chosen,
            step=brought["step"],
            can_resume=can_resume,
            message=f"{brought['name']} is back. {lost}{end}",
        )

    def _last_elsewhere(self) -> str:
        last = _last(tuple(one for one in self.runs() if not one.is_here))
        if last is None:
            raise PersistenceError(
                "The mirror has no run that is not here already.",
                hint="Resume a run of this workspace, or start a new one.",
            )
        return last.run_id

    def _needed_address(self) -> StorageAddress:
        address = self.address()
        if address is None:
            raise PersistenceError(
                "This workspace has no mirror.", hint="Set one with --mirror FOLDER-OR-URL."
            )
        return address

    def _usable_address(self) -> StorageAddress | None:
        try:
            return self.address()
        except PersistenceError:
            return None  # told when it was set

    def _looked(self) -> MirrorBacklog | None:
        """What is known on this machine's disk; the mirror itself is not asked."""
        with self._lock:
            address = self._usable_address()
            if address is None:
                return None
            if self._backlog is None or self._backlog.address != address:
                self._backlog = MirrorBacklog(self._workspace, address)
            self._backlog.load()
            self._backlog.look()
            return self._backlog

    def _watch(self) -> None:
        asked_at, is_answered = 0.0, False
        while True:
            backlog = self._looked()
            if backlog is not None:
                if backlog.due() is not None or backlog.is_live():
                    # A full disk is told by what needs it; the next look tries again.
                    with suppress(PersistenceError):
                        ensure_mirroring(self._workspace)
                if not is_answered and time.monotonic() - asked_at > _ASK_AGAIN_SECONDS:
                    asked_at, is_answered = time.monotonic(), self._ask()
            if self._closed.wait(_LOOK_SECONDS):
                return

    def _ask(self) -> bool:
        try:
            self._offered = self.runs()
        except MedQLoRAError:
            return False  # how the mirror is doing is said where a run's state is shown
        return True


def _last(runs: tuple[MirroredRun, ...]) -> MirroredRun | None:
    return next((one for one in runs if not one.is_done), runs[0] if runs else None)


def _mirrored(about: dict[str, Any], *, is_here: bool) -> MirroredRun:
    return MirroredRun(
        run_id=about["run_id"],
        name=about["name"],
        step=about["step"],
        at=about["at"],
        size_bytes=about["size_bytes"],
        is_done=about["outcome"] == "succeeded",
        is_here=is_here,
    )


def _safe(place: str, record: MirrorRecord, snapshot: RunSnapshot) -> str:
    if snapshot.state == "succeeded":
        return f"Safe in {place}, with the adapter."
    if record.step:
        return f"Safe in {place} up to step {record.step}."
    return f"Settings and data are safe in {place}; there is no checkpoint yet."


def _not_yet(place: str, record: MirrorRecord) -> str:
    so_far = f"Safe in {place} up to step {record.step}, the rest not yet."
    begin = so_far if record.step else f"Not yet safe in {place}."
    if record.trouble:
        return f"{begin} {record.trouble} {record.hint} Nothing is lost on this machine meanwhile."
    if record.is_uploading:
        return f"{begin} {place} is still passing the files on."
    return f"{begin} It is being copied."

"""MirrorService: what is safe elsewhere, and how runs and datasets come back from there.

It reads what the mirror's process writes on this machine's disk and sends couriers with a bound on
their silence, so that a mount which hangs never holds up whoever asks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from medqlora.errors import MedQLoRAError, PersistenceError
from medqlora.persistence.mirror_manifest import DATASETS, RUNS
from medqlora.persistence.storage_address import StorageAddress, read_mirror, set_mirror
from medqlora.persistence.workspace import Workspace
from medqlora.runs.courier import Courier
from medqlora.runs.mirror_backlog import MirrorBacklog, MirrorRecord
from medqlora.runs.mirror_worker import ensure_mirroring
from medqlora.services.datasets import DatasetService
from medqlora.services.mirrored import (
    MirrorContents,
    MirroredDataset,
    MirroredRun,
    MirrorStatus,
    RestoredDatasets,
    RestoredRun,
    not_yet,
    safe_dataset,
    safe_run,
)
from medqlora.services.training import TrainingService

ASKING_SECONDS = 60.0
"""How long a storage may be silent when somebody waits for the answer."""
_LOOK_SECONDS = 5.0
_ASK_AGAIN_SECONDS = 60.0


class MirrorService:
    """The mirror of a workspace.

    Args:
        workspace: The workspace.
        training: Its runs.
        datasets: Its datasets.
    """

    def __init__(
        self, workspace: Workspace, training: TrainingService, datasets: DatasetService
    ) -> None:
        self._workspace = workspace
        self._training = training
        self._datasets = datasets
        self._courier = Courier(workspace, silence_seconds=ASKING_SECONDS)
        self._lock = threading.Lock()
        self._backlog: MirrorBacklog | None = None
        self._seen = MirrorContents()
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
        return self._state(
            f"{RUNS}/{run_id}",
            lambda place, record: safe_run(place, record, self._training.snapshot(run_id)),
        )

    def state_of_dataset(self, dataset_id: str) -> MirrorStatus | None:
        """How safe a prepared dataset is, or None where there is no mirror.

        Raises:
            StorageUnavailableError: There is none of that id.
        """
        card = self._datasets.card(dataset_id)
        return self._state(f"{DATASETS}/{dataset_id}", lambda place, _: safe_dataset(place, card))

    def wait_until_safe(self, run_id: str, seconds: float) -> MirrorStatus | None:
        """How safe a run is, once it is safe or there is trouble, or after `seconds`."""
        return self._waited(lambda: self.state(run_id), seconds)

    def wait_until_dataset_safe(self, dataset_id: str, seconds: float) -> MirrorStatus | None:
        """As `wait_until_safe`, of a prepared dataset."""
        return self._waited(lambda: self.state_of_dataset(dataset_id), seconds)

    def contents(self) -> MirrorContents:
        """What is in the mirror.

        Raises:
            StorageUnavailableError: It cannot be reached, or there is none.
        """
        listed = self._courier.send("list", self._needed_address())
        return MirrorContents.of(listed, self._here())

    def offered(self) -> MirroredRun | None:
        """The last run that is in the mirror and not here, as far as is known by now.

        One that can go on comes before one that is done.
        """
        here = self._here()
        return _last(tuple(one for one in self._seen.runs if f"{RUNS}/{one.run_id}" not in here))

    def offered_datasets(self) -> tuple[MirroredDataset, ...]:
        """The datasets that are in the mirror and not here, as far as is known by now."""
        here, seen = self._here(), self._seen.datasets
        return tuple(one for one in seen if f"{DATASETS}/{one.dataset_id}" not in here)

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
        brought = self._courier.send("restore", self._needed_address(), f"{RUNS}/{chosen}")
        return RestoredRun.of(brought, can_resume=self._training.snapshot(chosen).can_resume)

    def restore_datasets(self) -> RestoredDatasets:
        """Brings back the datasets that are not here; nothing that is here is overwritten.

        One that is damaged there is passed over and named.

        Raises:
            StorageUnavailableError: The mirror cannot be reached, or there is none.
            PersistenceError: There is no dataset there that is not here already.
            DiskFullError: There is no space for the first of them here.
        """
        brought = self._courier.send("restore-datasets", self._needed_address())
        return RestoredDatasets.of(brought)

    def _last_elsewhere(self) -> str:
        last = _last(tuple(one for one in self.contents().runs if not one.is_here))
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

    def _here(self) -> set[str]:
        """The folders of the workspace that may be in the mirror too, as they are called there."""
        root = self._workspace.root
        kinds = (RUNS, DATASETS)
        return {f"{kind}/{one.name}" for kind in kinds for one in (root / kind).iterdir()}

    def _state(
        self, folder: str, say_safe: Callable[[str, MirrorRecord], str]
    ) -> MirrorStatus | None:
        """How safe a folder is; `say_safe` says in words that it is."""
        backlog = self._looked()
        if backlog is None:
            return None
        record = backlog.records.get(folder, MirrorRecord())
        is_safe = backlog.is_safe(folder)
        place = backlog.address.label
        message = say_safe(place, record) if is_safe else not_yet(place, record)
        return MirrorStatus(place=place, is_safe=is_safe, step=record.step, message=message)

    def _waited(
        self, ask: Callable[[], MirrorStatus | None], seconds: float
    ) -> MirrorStatus | None:
        with suppress(PersistenceError):  # a full disk is told by what needs it
            self.ensure()
        deadline = time.monotonic() + seconds
        while True:
            state = ask()
            if state is None or state.is_safe or time.monotonic() > deadline:
                return state
            time.sleep(0.2)

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
            self._seen = self.contents()
        except MedQLoRAError:
            return False  # how the mirror is doing is said where a run's state is shown
        return True


def _last(runs: tuple[MirroredRun, ...]) -> MirroredRun | None:
    return next((one for one in runs if not one.is_done), runs[0] if runs else None)

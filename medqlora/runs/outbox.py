"""The outbox: what is to be copied of a run or dataset, held fast while work goes on.

Its files are linked, not copied: that takes no time and no space, and the trainer may remove an old
checkpoint while it is still on its way.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from medqlora.data.preparing.prepared import CARD, SIDES, check_prepared
from medqlora.domain.snapshot import fold
from medqlora.persistence.atomic import translated_os_errors
from medqlora.persistence.checkpoints import CheckpointManager
from medqlora.persistence.mirror_manifest import DATASETS, EVENTS, RELATED, RUNS, FolderCopy
from medqlora.runs.event_log import read_events
from medqlora.runs.run_directory import RunDirectory


def collect(
    run: RunDirectory, outbox: Path, related: Mapping[str, Path] | None = None
) -> FolderCopy:
    """What a new machine would need to go on with `run` as it stands now.

    Its settings, its data, its newest whole checkpoint, its adapter once there is one, its events
    up to now, and what belongs to it.

    Args:
        run: The run.
        outbox: A folder on the same disk; what is in it is replaced.
        related: Where each file lies that belongs to the run; see `runs.related`.

    Raises:
        PersistenceError: The run is not there any more.
        DiskFullError: No space is left.
    """
    name = run.spec().name
    with translated_os_errors(outbox.parent):
        shutil.rmtree(outbox, ignore_errors=True)
        held = RunDirectory(outbox / run.run_id)
        _hold(run.path / "run.json", held.path / "run.json")
        for file in (run.train_entries, run.eval_entries):
            _hold(file, held.path / file.relative_to(run.path))
        for path, file in (related or {}).items():
            _copy(file, held.path / path)  # may be appended to, which a link would follow
        for folder in (run.adapter, *sorted(run.checkpoints.glob("checkpoint-*"))):
            for file in sorted(folder.rglob("*")):
                _hold(file, held.path / file.relative_to(run.path))
        # Only now, so that the log knows of everything above.
        log = run.events.read_bytes()
        held.events.write_bytes(log[: log.rfind(b"\n") + 1])
    checkpoint = CheckpointManager(held.checkpoints).newest_valid()
    snapshot = fold(run.run_id, read_events(held.events))
    beside = held.path / RELATED
    folders = [held.data, held.adapter, beside, *([Path(checkpoint.path)] if checkpoint else [])]
    files = [one for folder in folders for one in sorted(folder.rglob("*")) if one.is_file()]
    return FolderCopy(
        folder=f"{RUNS}/{run.run_id}",
        name=name,
        attempt=snapshot.attempt,
        seq=snapshot.seq,
        step=checkpoint.step if checkpoint else 0,
        outcome="" if snapshot.is_live else snapshot.state,
        files={
            "run.json": held.path / "run.json",
            EVENTS: held.events,
            **{file.relative_to(held.path).as_posix(): file for file in files},
        },
        digest=_digest(beside),
    )


def collect_dataset(dataset: Path, outbox: Path) -> FolderCopy:
    """What a new machine would need to train on a prepared dataset.

    Its card and its entries; tokens are counted again. A damaged one is refused, so that it never
    takes the place of a whole copy.

    Args:
        dataset: Its folder.
        outbox: As in `collect`.

    Raises:
        PersistenceError: It is not there any more, or is damaged.
        DiskFullError: No space is left.
    """
    held = outbox / dataset.name
    with translated_os_errors(outbox.parent):
        shutil.rmtree(outbox, ignore_errors=True)
        for name in (CARD, *SIDES):
            _hold(dataset / name, held / name)
    card = check_prepared(held, dataset.name)
    return FolderCopy(
        folder=f"{DATASETS}/{dataset.name}",
        name=card.name,
        files={name: held / name for name in (CARD, *SIDES)},
        digest=card.sha256,
    )


def _digest(folder: Path) -> str:
    """SHA-256 over names and contents of all files of a folder, empty without any."""
    digest, files = hashlib.sha256(), [one for one in sorted(folder.rglob("*")) if one.is_file()]
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest() if files else ""


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):  # removed a moment ago
        shutil.copyfile(file, target)


def _hold(file: Path, target: Path) -> None:
    if not file.is_file():
        return  # a folder, or a checkpoint that was removed a moment ago
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except FileNotFoundError:
        return
    except OSError:  # a disk that knows no links
        shutil.copyfile(file, target)

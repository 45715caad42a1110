"""What a checkpoint was made from, and what of it is different now, in words.

A resume is exact only with the same package versions, settings and data. Anything else is told and
needs the user's decision; `refuse_differences` asks for it, the attempt's opening records it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from medqlora.config.qlora import QLoRAConfig
from medqlora.domain.artifacts import CheckpointInfo, CheckpointOrigin
from medqlora.domain.events import MemoryExpected
from medqlora.errors import CheckpointDiffersError, ConfigError
from medqlora.models.memory_reading import detect_gpu
from medqlora.persistence.atomic import translated_os_errors
from medqlora.persistence.checkpoints import CheckpointManager
from medqlora.runs.run_directory import RunDirectory, recorded_versions

_ABSENT = "not there"


def origin_now(directory: RunDirectory) -> CheckpointOrigin:
    """What a checkpoint of this run would be made from now.

    Raises:
        StorageUnavailableError: The data cannot be read.
    """
    spec = directory.spec()
    data = {}
    with translated_os_errors(directory.data):
        for file in (directory.train_entries, directory.eval_entries):
            if file.exists():
                with file.open("rb") as stream:
                    data[file.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return CheckpointOrigin(
        run_id=spec.run_id, config=spec.config, data=data, versions=recorded_versions()
    )


def checkpoints_of(
    directory: RunDirectory, *, origin: CheckpointOrigin | None = None
) -> CheckpointManager:
    """The checkpoints of a run; with `origin`, to write them."""
    return CheckpointManager(directory.checkpoints, run_id=directory.spec().run_id, origin=origin)


def differences(then: CheckpointOrigin | None, now: CheckpointOrigin) -> tuple[str, ...]:
    """What is different now, one phrase each; empty when a resume is exact."""
    if then is None:
        return ("what the checkpoint was made from is not recorded",)
    versions = _changed(then.versions, now.versions)
    settings = _changed(_complete(then.config), _complete(now.config))
    data = _changed(then.data, now.data)
    return (
        *(f"{name} was {old} and is {new}" for name, (old, new) in versions.items()),
        *(f"the setting {name} was {old} and is {new}" for name, (old, new) in settings.items()),
        *(f"the data in {name} is other than it was" for name in data),
    )


def differences_in(directory: RunDirectory, checkpoint: CheckpointInfo) -> tuple[str, ...]:
    """What is different for a run that goes on from a checkpoint, one phrase each."""
    return (*differences(checkpoint.origin, origin_now(directory)), *_lost_card(directory))


def refuse_differences(directory: RunDirectory) -> None:
    """Asks for a decision where the newest checkpoint does not fit what there is now.

    Raises:
        CheckpointDiffersError: It does not; the differences are listed.
    """
    newest = checkpoints_of(directory).find_newest_valid()
    found = differences_in(directory, newest) if newest else ()
    if newest and found:
        raise CheckpointDiffersError(
            f"The checkpoint of step {newest.step} was made with something else than there is "
            f"now: {'; '.join(found)}.",
            hint="Restore what it was made with, or go on all the same by ticking Accept "
            "differences (--accept-differences): the result is then not the one of an "
            "uninterrupted run.",
            differences=found,
        )


def _lost_card(directory: RunDirectory) -> tuple[str, ...]:
    """Whether the run trained on a card and would go on without one, many times slower."""
    expected = [one for one in directory.read_events() if isinstance(one, MemoryExpected)]
    had_card = bool(expected) and expected[-1].source == "gpu"
    if not had_card or detect_gpu() is not None:
        return ()
    return ("it was trained on a graphics card and none answers now (restart the machine)",)


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (then.get(name, _ABSENT), now.get(name, _ABSENT))
        for name in sorted({*then, *now})
        if then.get(name, _ABSENT) != now.get(name, _ABSENT)
    }


def _complete(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """All settings, so that one which is new since then counts with its default."""
    try:
        return QLoRAConfig.from_dict(config).to_dict()
    except ConfigError:
        return config

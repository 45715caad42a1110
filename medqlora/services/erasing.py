"""Deleting everything that came from the user, and saying what remains elsewhere.

Base models stay, because nothing of the user is in them; the audit log stays, because it says that
this was done. What a mirror holds is never deleted from here, only named.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huggingface_hub.constants import HF_HUB_CACHE

from medqlora.errors import AccessError, GpuBusyError, MedQLoRAError
from medqlora.persistence.atomic import translated_os_errors
from medqlora.services import Services

CONFIRMATION: Final = "delete everything"
IMPORTS_SECONDS: Final = 20.0
"""How long reading and counting, which is stopped first, may take to end."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What came of deleting everything.

    Attributes:
        message: What was removed.
        remains: What is still there, and where, one sentence each.
    """

    message: str
    remains: tuple[str, ...]


def erase_everything(services: Services, typed: str) -> Erased:
    """Removes what came from users in a workspace: data, runs, all kinds of results, reviews.

    Args:
        services: Its services; the chat and its conversation end.
        typed: `CONFIRMATION`, as the user typed it.

    Raises:
        AccessError: Something else was typed.
        GpuBusyError: A job is at work.
        StorageUnavailableError: Something could not be removed.
    """
    if typed.strip().lower() != CONFIRMATION:
        raise AccessError(
            "Nothing was deleted, because the words were not typed.",
            hint=f'Type "{CONFIRMATION}" into the field, then press the button again.',
        )
    jobs = (
        services.training,
        services.evaluation,
        services.panel,
        services.benchmarks,
        services.datasets.imports,
    )
    services.datasets.imports.end_all(IMPORTS_SECONDS)
    if any(one.is_watching for one in jobs):
        raise GpuBusyError(
            "A run, an evaluation, a panel or an exam is at work, so nothing was deleted.",
            hint="Stop it first.",
            holder="",
        )
    services.chat.close()
    workspace = services.workspace
    removed = 0
    with translated_os_errors(workspace.root):
        made = (workspace.panel_items, workspace.outbox, workspace.inbox, workspace.batches)
        for folder in (*workspace.of_the_user, *made):
            for one in folder.iterdir() if folder.is_dir() else ():
                shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
                removed += 1
        for archive in workspace.root.glob("*-adapter.zip"):
            archive.unlink()
            removed += 1
    for job in jobs:
        job.forget_all()
    return Erased(f"{removed} folders and files were deleted.", _remains(services))


def _remains(services: Services) -> tuple[str, ...]:
    remains = ["Base models in the workspace's folder models; nothing of yours is in them."]
    cache = Path(HF_HUB_CACHE)
    if cache.is_dir():
        remains.append(
            f"Models and lists of datasets from the model hub in {cache}, which other programs of "
            "this account share: no data of yours, but the names of what was fetched. Delete that "
            "folder if nothing else needs it."
        )
    remains.append("The audit log, audit.jsonl in the workspace: who did what, without content.")
    try:
        address = services.mirror.address()
        if address is not None:
            held = services.mirror.contents()
            folders = [f"runs/{one.run_id}" for one in held.runs]
            folders += [f"datasets/{one.dataset_id}" for one in held.datasets]
            names = ", ".join([*folders, *held.damaged]) or "no run and no dataset"
            remains.append(f"In {address.label}: {names}. Delete it there if it is to go as well.")
    except MedQLoRAError as error:
        remains.append(f"What the mirror holds could not be read: {error.message}")
    remains.append("What anybody has downloaded.")
    return tuple(remains)

"""StorageAddress: how a user names a storage, and where a workspace keeps that.

A path, or a URL whose scheme is a row of `cloud.BACKENDS` or one that fsspec knows. Credentials
never stand in it: it is shown, and it is written into the workspace's settings.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from medqlora.errors import PersistenceError, StorageUnavailableError
from medqlora.persistence.atomic import write_json
from medqlora.persistence.cloud import BACKENDS
from medqlora.persistence.fsspec_storage import FsspecStorage
from medqlora.persistence.workspace import Workspace

DRIVE = Path("/content/drive")
"""Where Colab mounts Google Drive."""
VARIABLE = "MEDQLORA_MIRROR"
"""The environment's way to set the mirror."""
NO_MIRROR = "off"


@dataclass(frozen=True, slots=True)
class StorageAddress:
    """Where a storage is: a row of `BACKENDS` and the place in it; see `parse`."""

    backend: str
    location: str

    @classmethod
    def parse(cls, address: str) -> StorageAddress:
        """The storage that a user names; nothing is asked of it.

        Args:
            address: A folder, or a URL such as `s3://bucket/folder`.

        Raises:
            StorageUnavailableError: It is no address, or a package that it needs is missing.
        """
        text = address.strip()
        scheme, is_url, rest = text.partition("://")
        if not is_url:
            path = Path(text).expanduser()
            if not text or not path.is_absolute():
                raise StorageUnavailableError(
                    "The mirror's address is neither a whole path nor a URL.",
                    hint="Give a folder such as /mnt/backup/medqlora, or s3://bucket/folder.",
                )
            return cls("mounted" if path.is_relative_to(DRIVE) else "local", str(path))
        _refuse_credentials(text)
        if scheme in BACKENDS:
            return cls(scheme, rest)
        FsspecStorage.check_available(scheme)
        return cls("fsspec", text)

    @property
    def label(self) -> str:
        """What the user calls the place."""
        if self.backend == "mounted" and Path(self.location).is_relative_to(DRIVE):
            return "Drive"
        return self.location.rstrip("/")


def set_mirror(workspace: Workspace, address: str | None) -> StorageAddress | None:
    """Settles where the workspace is mirrored to, and returns it; `None` is for nowhere.

    Args:
        workspace: The workspace, whose settings keep it.
        address: A storage's address, or `off`. Without one the environment's counts, and without
            that either what was set before.

    Raises:
        StorageUnavailableError: It is no address, or a package that it needs is missing.
    """
    given = address or os.environ.get(VARIABLE)
    if given:
        parsed = None if given == NO_MIRROR else StorageAddress.parse(given)
        if parsed is not None and Path(parsed.location).is_relative_to(workspace.root):
            raise StorageUnavailableError(
                "The mirror lies inside the workspace, and would be lost with it.",
                hint="Choose a folder on another disk or drive.",
            )
        write_json(workspace.settings, {"mirror": given.strip() if parsed else NO_MIRROR})
    return read_mirror(workspace)


def read_mirror(workspace: Workspace) -> StorageAddress | None:
    """Where the workspace is mirrored to, or `None` for nowhere.

    Raises:
        StorageUnavailableError: What was set needs a package that is missing.
        PersistenceError: The settings are damaged.
    """
    try:
        address = json.loads(workspace.settings.read_text(encoding="utf-8"))["mirror"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PersistenceError(
            "The workspace's settings cannot be read.", hint="Set the mirror again with --mirror."
        ) from error
    return None if address == NO_MIRROR else StorageAddress.parse(str(address))


def _refuse_credentials(address: str) -> None:
    parts = urlsplit(address)
    if parts.username or parts.password or parts.query or parts.fragment or "::" in address:
        raise StorageUnavailableError(
            "The mirror's address holds more than a place.",
            hint="Leave user names, keys and options out of it; the storage finds them in the "
            "environment or where its own tools keep them.",
        )

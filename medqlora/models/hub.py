"""Fetches models from the hub, or only what describes one; every refusal in one sentence.

Nothing of it is run: weights are safetensors, and no code is fetched. Of a model that has pickles
alone, `conversion` asks for one file at a time.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from medqlora.config.qlora import EMBEDDED_MODEL
from medqlora.errors import DiskFullError, ModelError
from medqlora.models.catalog import CATALOG

_DESCRIPTION = ["*.json", "*.jinja", "tokenizer.model", "merges.txt"]
_WEIGHTS = ["*.safetensors"]
_CHECKED = ["config.json", "tokenizer_config.json", "chat_template.*"]
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")

INDEX = "model.safetensors.index.json"
"""Which file holds which weight."""

ANSWER_SECONDS = 10.0

_Answer = TypeVar("_Answer")


def newest_revision(model_name: str) -> str:
    """The commit that the hub gives now; where it cannot be reached, the last one fetched here.

    Raises:
        ModelError: It does not exist, is gated, or was never fetched and the hub cannot be reached.
    """
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    def ask(token: str | None) -> str:
        try:
            about = HfApi().model_info(model_name, timeout=ANSWER_SECONDS, token=token)
        except (httpx.TransportError, OfflineModeIsEnabled):
            kept = last_kept(model_name)
            if not kept:
                raise
            return kept
        return str(about.sha)

    return _asked(model_name, ask)


def fetch(model_name: str, revision: str, *, needs_weights: bool = True) -> Path:
    """Folder with the model's files; what was fetched before is not fetched again.

    Args:
        model_name: The model's id.
        revision: The commit.
        needs_weights: Whether more is wanted than its description and its tokenizer.

    Raises:
        ModelError: It does not exist, is gated, the hub cannot be reached, or this revision is
            neither there nor here any more.
    """
    files = [*_DESCRIPTION, *(_WEIGHTS if needs_weights else ())]
    kept = _kept(model_name, revision, files)
    if kept and (_has_all_weights(kept) if needs_weights else _has_tokenizer(kept)):
        return kept
    return _fetch(model_name, revision, files)


def fetch_description(model_name: str, revision: str) -> Path:
    """Folder with what a model can be judged by before its weights: some kilobytes.

    Raises:
        ModelError: As `fetch`.
    """
    kept = _kept(model_name, revision, _CHECKED)
    if kept and (_has_all_weights(kept) or _has_tokenizer(kept)):
        return kept
    fetch_config(model_name, revision)
    return _fetch(model_name, revision, _CHECKED)


def has_weights(model_name: str, revision: str) -> bool:
    """Whether all weights of a model are on this machine; asks nobody."""
    kept = _kept(model_name, revision, _WEIGHTS) if revision else None
    return kept is not None and _has_all_weights(kept)


def files_of(model_name: str, revision: str) -> Mapping[str, int]:
    """The names of a model's files, with their sizes in bytes; one that is not told is 0.

    Raises:
        ModelError: As `fetch`.
    """
    from huggingface_hub import HfApi

    def ask(token: str | None) -> dict[str, int]:
        about = HfApi().model_info(
            model_name,
            revision=revision,
            timeout=ANSWER_SECONDS,
            files_metadata=True,
            token=token,
        )
        return {one.rfilename: one.size or 0 for one in about.siblings or ()}

    return _asked(model_name, ask, revision=revision)


def fetch_file(model_name: str, file: str, revision: str, folder: Path) -> Path:
    """Fetches one file into `folder`, past the hub's cache; an interrupted download goes on.

    Raises:
        ModelError: As `fetch`.
        DiskFullError: No space is left.
    """
    from huggingface_hub import hf_hub_download

    return Path(
        _asked(
            model_name,
            lambda token: hf_hub_download(
                model_name, file, revision=revision, local_dir=folder, token=token
            ),
            revision=revision,
        )
    )


def fetch_config(model_name: str, revision: str) -> Mapping[str, Any]:
    """The model's `config.json`, a few kilobytes that say what it is and how large.

    Raises:
        ModelError: As `fetch`, or the file is damaged.
    """
    from huggingface_hub import hf_hub_download

    path = _asked(
        model_name,
        lambda token: hf_hub_download(model_name, "config.json", revision=revision, token=token),
        revision=revision,
    )
    try:
        described: Mapping[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(
            f"The description of {model_name} on the model hub cannot be read.",
            hint="Choose another model.",
        ) from error
    return described


def last_kept(model_name: str) -> str:
    """The newest commit of which files are on this machine, empty where there is none."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=model_name, repo_type="model")
    kept = (folder / "snapshots").glob("*")
    newest = max(kept, key=lambda one: one.stat().st_mtime, default=None)
    return newest.name if newest else ""


def _kept(model_name: str, revision: str, files: list[str]) -> Path | None:
    """Folder of a model on this machine, or None; `files` may be missing nevertheless.

    Not every version of the client knows whether what is here is all of it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                model_name, revision=revision, allow_patterns=files, local_files_only=True
            )
        )
    except LocalEntryNotFoundError:
        return None


def _fetch(model_name: str, revision: str, files: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    def ask(token: str | None) -> str:
        return snapshot_download(model_name, revision=revision, allow_patterns=files, token=token)

    return Path(_asked(model_name, ask, revision=revision))


def _has_all_weights(folder: Path) -> bool:
    # A download that was interrupted leaves whole files, but not all of them.
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        files = set(index["weight_map"].values())
    except FileNotFoundError:
        return any("-of-" not in one.name for one in folder.glob(_WEIGHTS[0]))
    except (OSError, ValueError, KeyError, AttributeError):
        return False
    return all((folder / one).is_file() for one in files)


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / one).is_file() for one in _TOKENIZERS)


def _or_free_copy(model_name: str) -> str:
    free = next((one.name for one in CATALOG if one.original == model_name), "")
    return f"; or choose {free}, a copy of it that needs no account" if free else ""


def _asked(model_name: str, ask: Callable[[str | None], _Answer], *, revision: str = "") -> _Answer:
    import httpx
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return ask(os.environ.get("HF_TOKEN") or None)
    except RevisionNotFoundError as error:
        raise ModelError(
            f"Revision {revision[:12]} of {model_name} is neither on this machine nor on the model "
            "hub any more.",
            hint="Put that revision's files into the workspace's folder models, or start a new "
            "run, which takes the newest revision.",
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, httpx.TransportError) as error:
        raise ModelError(
            f"The model {model_name} is not on this machine and the model hub cannot be reached.",
            hint=f"Check the network, or choose {EMBEDDED_MODEL}, which needs none.",
        ) from error
    except EntryNotFoundError as error:
        raise ModelError(
            f"{model_name} on the model hub is not a model that can be read here: it has no "
            "config.json.",
            hint="Choose a model whose files are safetensors, not GGUF or another format.",
        ) from error
    except GatedRepoError as error:
        raise ModelError(
            f"The model {model_name} is given only to those who accepted its terms.",
            hint=f"Accept them at https://huggingface.co/{model_name}, set HF_TOKEN to a token "
            f"of that account, and start again{_or_free_copy(model_name)}.",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"There is no model called {model_name} on the model hub, or it is private.",
            hint="Check the spelling, or set HF_TOKEN for a private one.",
        ) from error
    except (HfHubHTTPError, OSError) as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"The disk was full while {model_name} was fetched.",
                hint="Free some space, then try again.",
            ) from error
        raise ModelError(
            f"The model {model_name} could not be fetched ({type(error).__name__}).",
            hint=f"Check the network and try again, or choose {EMBEDDED_MODEL}.",
        ) from error

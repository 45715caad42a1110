"""Fetches models from the hub, or only what describes one; every refusal in one sentence.

Nothing of it is run: weights are safetensors, and no code is fetched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL
from medqlora.errors import ModelError

_DESCRIPTION = ["*.json", "*.jinja", "tokenizer.model", "merges.txt"]
_WEIGHTS = ["*.safetensors"]


ANSWER_SECONDS = 10.0


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
            kept = _last_kept(model_name)
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
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    files = [*_DESCRIPTION, *(_WEIGHTS if needs_weights else ())]

    def ask(token: str | None) -> str:
        def given(is_local: bool) -> str:
            return snapshot_download(
                model_name,
                revision=revision,
                allow_patterns=files,
                local_files_only=is_local,
                token=token,
            )

        try:
            kept = given(True)
        except LocalEntryNotFoundError:
            return given(False)
        # Not every version of the client knows whether what is here is all of it.
        is_whole = not needs_weights or any(Path(kept).glob(_WEIGHTS[0]))
        return kept if is_whole else given(False)

    return Path(_asked(model_name, ask, revision=revision))


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


def _last_kept(model_name: str) -> str:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return ""
    kept = [
        one
        for repo in repos
        if repo.repo_type == "model" and repo.repo_id == model_name
        for one in repo.revisions
    ]
    newest = max(kept, key=lambda one: one.last_modified, default=None)
    return newest.commit_hash if newest else ""


def _asked(model_name: str, ask: Callable[[str | None], str], *, revision: str = "") -> str:
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
            "of that account, and start again.",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"There is no model called {model_name} on the model hub, or it is private.",
            hint="Check the spelling, or set HF_TOKEN for a private one.",
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"The model {model_name} could not be fetched ({type(error).__name__}).",
            hint=f"Check the network and try again, or choose {EMBEDDED_MODEL}.",
        ) from error

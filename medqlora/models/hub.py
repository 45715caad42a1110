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

_FILES = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]


ANSWER_SECONDS = 10.0


def fetch(model_name: str) -> Path:
    """Folder with the model's files; what was fetched before is not fetched again.

    Raises:
        ModelError: It does not exist, is gated, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    return Path(
        _asked(
            model_name,
            lambda token: snapshot_download(model_name, allow_patterns=_FILES, token=token),
        )
    )


def fetch_config(model_name: str) -> Mapping[str, Any]:
    """The model's `config.json`, a few kilobytes that say what it is and how large.

    Raises:
        ModelError: As `fetch`, or the file is damaged.
    """
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache

    def ask(token: str | None) -> str:
        # Asked first, because a download goes on trying for half a minute where there is no way.
        HfApi().model_info(model_name, timeout=ANSWER_SECONDS, token=token)
        return hf_hub_download(model_name, "config.json", token=token)

    kept = try_to_load_from_cache(model_name, "config.json")
    path = kept if isinstance(kept, str) else _asked(model_name, ask)
    try:
        described: Mapping[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(
            f"The description of {model_name} on the model hub cannot be read.",
            hint="Choose another model.",
        ) from error
    return described


def _asked(model_name: str, ask: Callable[[str | None], str]) -> str:
    import httpx
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return ask(os.environ.get("HF_TOKEN") or None)
    except (LocalEntryNotFoundError, httpx.TransportError) as error:
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

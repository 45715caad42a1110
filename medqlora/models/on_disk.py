"""Models that somebody put into the workspace: `models/OWNER/NAME/`, with the hub's own files.

For machines without a network: a folder there is used before the hub is asked, under the same id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medqlora.models.catalog import CATALOG
from medqlora.models.catalog_entry import CatalogEntry
from medqlora.models.memory_forecast import shape_of

_CONFIG = "config.json"


def folder_of(models_dir: Path, model_name: str) -> Path | None:
    """The folder of the model called `OWNER/NAME`, or None when it is not there."""
    folder = models_dir / model_name
    is_id = model_name.count("/") == 1
    return folder if is_id and (folder / _CONFIG).is_file() else None


def found(models_dir: Path) -> tuple[CatalogEntry, ...]:
    """The models there that the catalogue does not list; one that says too little is left out."""
    known = {one.name for one in CATALOG}
    entries = []
    for config in sorted(models_dir.glob(f"[!.]*/[!.]*/{_CONFIG}")):
        name = config.parent.relative_to(models_dir).as_posix()
        about = _described(config)
        shape = shape_of(about)
        if name not in known and shape:
            entries.append(
                CatalogEntry(
                    name=name,
                    billion_parameters=shape.billion_parameters,
                    shape=shape,
                    licence="Licence: see the model's own files",
                    needs_gpu=shape.billion_parameters > 1,
                    download_gib=0.0,
                    note="Lies in this workspace.",
                    model_type=str(about.get("model_type", "")),
                    folder=str(config.parent),
                )
            )
    return tuple(entries)


def _described(config: Path) -> Mapping[str, Any]:
    try:
        about: Any = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}

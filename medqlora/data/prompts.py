"""The prompt library: clinical questions to try a model with, written for this project.

`clinical_prompts.jsonl` holds a topic and a prompt a line; another line is another prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

_FILE = Path(__file__).with_name("clinical_prompts.jsonl")


def clinical_prompts() -> Mapping[str, tuple[str, ...]]:
    """Prompts by topic, in the order of the file."""
    found: dict[str, tuple[str, ...]] = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        found[one["topic"]] = (*found.get(one["topic"], ()), one["prompt"])
    return found

"""What commands are told: what all take, and for `train` the settings and the data."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from medqlora.data.columns import GRAMMAR, parse_mapping, read_mapping
from medqlora.domain.dataset import ColumnMapping
from medqlora.domain.phi import PhiAction
from medqlora.domain.preparing import Choices
from medqlora.errors import ConfigError
from medqlora.persistence.workspace import DEFAULT_ROOT
from medqlora.services.imports import CLEANING_STEPS, KEEP_CONFIRMATION

SAMPLE = "sample"


@dataclass(frozen=True, slots=True)
class DataOptions:
    """What to train on.

    Attributes:
        source: A file or a dataset of the hub; None for the sample.
        mapping: What its columns mean; None to find out.
        choices: What to do with it.
        split_seed: Seed of the split; None for that of the training.
    """

    source: str | None
    mapping: ColumnMapping | None
    choices: Choices
    split_seed: int | None


def common_options() -> argparse.ArgumentParser:
    """The options that every command takes, as a parent of its parser."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--json", action="store_true", help="print one JSON document on standard output"
    )
    common.add_argument(
        "--workspace", type=Path, default=DEFAULT_ROOT, help="folder that holds everything"
    )
    common.add_argument(
        "--mirror",
        metavar="PLACE",
        help="keep copies of runs and datasets there: a folder, a URL, or off",
    )
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return common


def add_data_options(one: argparse.ArgumentParser) -> None:
    """Adds the options about data to the command `train`."""
    add = one.add_argument
    add("--data", help="file to train on or hub:NAME, in place of `dataset` of the settings")
    add_mapping_options(one)
    add("--phi", choices=get_args(PhiAction), help="what to do with what the PHI screen finds")
    add("--phi-confirm", default="", help=f'with --phi keep: "{KEEP_CONFIRMATION}"')
    add("--clean", default="", help=f"cleaning steps: {','.join(CLEANING_STEPS)}")
    add("--label", help="column that both sides get alike; found when not given, none when empty")
    add("--group", help="column whose equal values stay on one side, such as patient_id")
    add("--benchmark", type=Path, action="append", help="file whose questions are looked for")
    add("--licence", default="", help="a note on licence and permission, kept with the data")


def add_mapping_options(one: argparse.ArgumentParser) -> None:
    """Adds the options that say what columns mean."""
    one.add_argument("--map", help=GRAMMAR)
    one.add_argument("--map-file", type=Path, help="JSON with a mapping, a report or a card")


def mapping_of(options: argparse.Namespace) -> ColumnMapping | None:
    """What the options say of the columns; None when they say nothing."""
    if options.map_file:
        return read_mapping(options.map_file)
    return parse_mapping(options.map) if options.map else None


def take_data_options(options: argparse.Namespace, values: dict[str, Any]) -> DataOptions:
    """What to train on, from the options and the settings; takes it out of `values`.

    Raises:
        ConfigError: A setting is of another kind.
    """
    source = _pop(values, "dataset", str, default=SAMPLE)
    given_mapping = _pop(values, "map", str, default="")
    eval_share = _pop(values, "eval_share", (int, float), default=0.1)
    split_seed = _pop(values, "split_seed", int | None, default=None)
    source = options.data or source
    return DataOptions(
        source=None if source == SAMPLE else source,
        mapping=mapping_of(options) or (parse_mapping(given_mapping) if given_mapping else None),
        choices=Choices(
            phi=options.phi,
            phi_confirmation=options.phi_confirm,
            eval_share=eval_share,
            cleaning=tuple(one for one in options.clean.split(",") if one),
            label=options.label,
            group=options.group,
            benchmarks=tuple(map(str, options.benchmark or ())),
            licence=options.licence,
        ),
        split_seed=split_seed,
    )


def read_settings(path: Path | None) -> dict[str, Any]:
    """The settings in a file; none without one.

    Raises:
        ConfigError: It cannot be read or is something else.
    """
    if path is None:
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The settings file {path.name} cannot be read as JSON ({type(error).__name__}).",
            hint='It looks like {"dataset": "sample", "rank": 16}.',
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"The settings file {path.name} does not hold a JSON object.",
            hint='It looks like {"dataset": "sample", "rank": 16}.',
        )
    return values


def _pop(values: dict[str, Any], name: str, kind: Any, *, default: Any) -> Any:
    value = values.pop(name, default)
    if not isinstance(value, kind):
        raise ConfigError(
            f"{name} cannot be {json.dumps(value)[:40]}.",
            hint=f"Leave it out, or give it as {default!r}.",
        )
    return value

"""Sets of multiple-choice items in the workspace: made from a file or from the hub, then read.

    benchmarks/
      medqa/            card.json and items.jsonl: ready to be asked
      medqa.jsonl       a file that becomes the set `medqa` when it is first asked for

A published benchmark is taken from its set, else from a file of its name, else from the hub. A
file may have any format that `data` reads. What is asked, and how, is for `benchmarks` and
`harness`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from medqlora.data.hub import file_or_hub
from medqlora.domain.benchmark import OWN, BenchmarkCard, ChoiceItem
from medqlora.domain.dataset import ColumnMapping
from medqlora.errors import DataError, EvaluationError
from medqlora.evaluation.benchmark_reading import read_file
from medqlora.evaluation.benchmarks import BENCHMARKS, Benchmark
from medqlora.persistence.atomic import translated_os_errors, write_json, write_text
from medqlora.persistence.workspace import slug


def add_file(
    folder: Path,
    path: Path,
    *,
    template: str = OWN,
    mapping: ColumnMapping | None = None,
    name: str = "",
    source: str = "",
) -> BenchmarkCard:
    """Makes a set of the items in a file.

    Args:
        folder: The workspace's folder of benchmarks.
        path: The file.
        template: The published benchmark that it holds, or `own`.
        mapping: What its columns mean; found out when not given.
        name: Name of the set; made from the file's where it is a user's own.
        source: What the card says of where it came from; the file's name when not given.

    Raises:
        EvaluationError: It holds no items that can be asked.
        DataError: It cannot be read.
        DiskFullError: No space is left.
    """
    published = BENCHMARKS.get(template)
    items, remarks = read_file(path, published=published, mapping=mapping)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    card = BenchmarkCard(
        name=name or (published.name if published else f"own-{slug(path.stem, 'file')}"),
        label=published.label if published else path.stem,
        template=template,
        source=source or path.name,
        sha256=sha256,
        num_items=len(items),
        mean_chars=sum(map(num_chars, items)) / len(items),
        remarks=remarks,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    _write(folder / card.name, card, items)
    return card


def obtain(
    folder: Path, name: str, *, on_phase: Callable[[str], None]
) -> tuple[BenchmarkCard, list[ChoiceItem]]:
    """A set with its items; a published one is made from its file, or fetched, when first asked.

    Raises:
        EvaluationError: There is none of that name, or it cannot be had.
        DataError: Its file cannot be read.
    """
    if not (folder / name / "card.json").is_file():
        published = BENCHMARKS.get(name)
        if published is None:
            raise EvaluationError(
                "There is no benchmark of that name.",
                hint=f"Choose one of: {', '.join(BENCHMARKS)}, or add a file of your own.",
            )
        on_phase(f"Getting {published.label}")
        _make_published(folder, published)
    return read_card(folder / name), read_items(folder / name)


def cards(folder: Path) -> tuple[BenchmarkCard, ...]:
    """The sets that are there, by name; a damaged one is passed over and can be added again."""
    found = []
    for path in sorted(folder.glob("*/card.json")):
        try:
            found.append(read_card(path.parent))
        except EvaluationError:
            continue
    return tuple(found)


def file_of(folder: Path, name: str) -> Path | None:
    """The file that would become the set `name`, or None."""
    task = BENCHMARKS[name].task if name in BENCHMARKS else name
    stems = {name, name.replace("-", "_"), task}
    found = (path for path in sorted(folder.iterdir()) if path.is_file())
    return next((path for path in found if path.name.split(".")[0].lower() in stems), None)


def read_card(set_folder: Path) -> BenchmarkCard:
    """The card of a set.

    Raises:
        EvaluationError: It is damaged.
    """
    try:
        text = (set_folder / "card.json").read_text(encoding="utf-8")
        return BenchmarkCard.from_json(json.loads(text))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(set_folder) from error


def read_items(set_folder: Path) -> list[ChoiceItem]:
    """The items of a set.

    Raises:
        EvaluationError: They are damaged.
    """
    try:
        lines = (set_folder / "items.jsonl").read_text(encoding="utf-8").splitlines()
        return [ChoiceItem.from_json(json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(set_folder) from error


def _damaged(set_folder: Path) -> EvaluationError:
    return EvaluationError(
        f"The benchmark {set_folder.name} is damaged on disk.", hint="Add its file again."
    )


def _make_published(folder: Path, published: Benchmark) -> None:
    path = file_of(folder, published.name)
    if path is not None:
        add_file(folder, path, template=published.name)
        return
    try:
        with file_or_hub(published.hub, folder) as (fetched, hub_file):
            revision = hub_file.revision if hub_file else ""
            add_file(
                folder,
                fetched,
                template=published.name,
                mapping=published.hub_mapping,
                source=f"{published.hub.removeprefix('hub:')} {revision}".strip(),
            )
    except DataError as error:
        raise EvaluationError(
            f"{published.label} is not in this workspace, and the hub could not give it: "
            f"{error.message}",
            hint="Add its file on the Evaluate tab, or put it into the workspace's folder "
            f"benchmarks as {published.name}.jsonl (or .csv, .parquet, .json).",
        ) from error


def _write(place: Path, card: BenchmarkCard, items: Sequence[ChoiceItem]) -> None:
    with translated_os_errors(place.parent):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    lines = (json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in items)
    write_text(place / "items.jsonl", "".join(lines))
    write_json(place / "card.json", card.to_json())  # last: without it the set is not there


def num_chars(item: ChoiceItem) -> int:
    """Length of what an item puts before the model, in characters."""
    return len(item.question) + len(item.context) + sum(map(len, item.options))

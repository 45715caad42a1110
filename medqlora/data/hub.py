"""Datasets of the Hugging Face hub: fetched once, row by row, as a JSONL file like any other.

The only place where data of the project touches a network, and only when somebody names a dataset.
What the rows mean is for the rest of `data`, which reads the file. It imports `datasets`, so it
belongs into a worker or a command, not into the process of the page.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medqlora.data.formats.rows import MAX_FILE_BYTES
from medqlora.errors import DataError
from medqlora.persistence.atomic import translated_os_errors

PREFIX = "hub:"

_NAME = re.compile(
    r"(?:hub:)?([\w.-]{1,96}/[\w.-]{1,96})(?::([\w.+-]{0,96}))?(?::([\w.+-]{1,96}))?"
)
_WRITE_SO = "Write owner/name, owner/name:config or owner/name:config:split."
_TRY_LATER = "Check the network and try again, or download the dataset and give it as a file."
_SECONDS = 30


@dataclass(frozen=True, slots=True)
class HubName:
    """A dataset of the hub.

    Attributes:
        dataset_id: `owner/name`.
        config: Its configuration; its only one, or the one called default, when empty.
        split: Its split; `train`, or its only one, when empty.
    """

    dataset_id: str
    config: str = ""
    split: str = ""

    @classmethod
    def parse(cls, text: str) -> HubName:
        """What `owner/name[:config[:split]]` says, with or without `hub:` before it.

        Raises:
            DataError: It is not written so.
        """
        found = _NAME.fullmatch(text.strip())
        if not found or ".." in text:
            raise DataError("This is not the name of a dataset on the hub.", hint=_WRITE_SO)
        return cls(found[1], found[2] or "", found[3] or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A dataset of the hub as a file on this machine.

    Attributes:
        path: The JSONL file.
        name: What was fetched, with configuration and split as they turned out.
        revision: The commit that was fetched; fetching it again gives the same rows.
        licence: The licence as the dataset's page states it; empty where it states none.
        num_rows: How many rows it has.
        splits: All splits of the configuration.
    """

    path: Path
    name: HubName
    revision: str
    licence: str
    num_rows: int
    splits: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Where it came from, for machines and for the record."""
        about = {"revision": self.revision, "licence": self.licence, "splits": list(self.splits)}
        return {**asdict(self.name), **about}


@contextmanager
def file_or_hub(given: str, folder: Path) -> Iterator[tuple[Path, HubFile | None]]:
    """The file that is meant by a path, or by `hub:` and a name: fetched, and removed afterwards.

    Args:
        given: A path, or `hub:owner/name[:config[:split]]`; a path that is mistyped never is.
        folder: Where a dataset of the hub is put meanwhile.

    Raises:
        DataError: What `fetch_hub_dataset` raises.
    """
    if not given.startswith(PREFIX):
        yield Path(given), None
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".hub-") as temporary:
        fetched = fetch_hub_dataset(HubName.parse(given), Path(temporary))
        yield fetched.path, fetched


def fetch_hub_dataset(
    name: HubName, folder: Path, *, on_row: Callable[[int], None] | None = None
) -> HubFile:
    """Streams a dataset of the hub into a JSONL file in `folder`, in bounded memory.

    Args:
        name: The dataset.
        folder: Where the file is put; it appears there once it is complete.
        on_row: Told the number of each row; what it raises ends the fetching and leaves no file.

    Raises:
        DataError: The hub cannot be reached, has no such dataset or does not let us read it, or
            the dataset is too large or has several parts to choose from.
        DiskFullError: No space is left.
    """
    with _translated(name):
        info = _info(name)
        config = _chosen_config(name, info.sha)
        splits = _splits(name, config, info.sha)
        split = _chosen_split(name, splits)
        found = HubName(name.dataset_id, config, split)
        path = folder / f"{_file_name(found)}.jsonl"
        part = path.with_suffix(".part")
        try:
            with translated_os_errors(folder):
                num_rows = _write(found, part, _rows(found, info.sha), on_row)
                part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    licence = info.card_data.get("license") if info.card_data else ""
    return HubFile(
        path=path,
        name=found,
        revision=info.sha,
        licence=licence if isinstance(licence, str) else ", ".join(licence or []),
        num_rows=num_rows,
        splits=splits,
    )


def _info(name: HubName) -> Any:
    from huggingface_hub import HfApi

    return HfApi().dataset_info(name.dataset_id, timeout=_SECONDS)


def _source(name: HubName) -> str:
    return f"hf://datasets/{name.dataset_id}"  # without the scheme a folder of that name would win


def _chosen_config(name: HubName, revision: str) -> str:
    from datasets import get_dataset_config_names

    configs = get_dataset_config_names(_source(name), revision=revision)
    if name.config in configs:
        return name.config
    if not name.config and (len(configs) == 1 or "default" in configs):
        return "default" if "default" in configs else str(configs[0])
    raise _choose(name, "configurations", configs, f"{name.dataset_id}:CONFIG")


def _splits(name: HubName, config: str, revision: str) -> tuple[str, ...]:
    from datasets import load_dataset

    return tuple(load_dataset(_source(name), config, revision=revision, streaming=True))


def _chosen_split(name: HubName, splits: tuple[str, ...]) -> str:
    if name.split in splits:
        return name.split
    if not name.split and (len(splits) == 1 or "train" in splits):
        return "train" if "train" in splits else splits[0]
    raise _choose(name, "splits", splits, f"{name.dataset_id}:CONFIG:SPLIT")


def _choose(name: HubName, what: str, found: Iterable[str], written: str) -> DataError:
    shown = ", ".join(list(found)[:20])
    return DataError(
        f"{name.dataset_id} has these {what}: {shown}.", hint=f"Say which one: {written}."
    )


def _rows(name: HubName, revision: str) -> Iterable[Mapping[str, Any]]:
    from datasets import load_dataset

    dataset = load_dataset(
        _source(name), name.config, split=name.split, revision=revision, streaming=True
    )
    rows: Iterable[Mapping[str, Any]] = dataset.decode(False)  # pictures and sound stay packed
    return rows


def _write(
    name: HubName,
    path: Path,
    rows: Iterable[Mapping[str, Any]],
    on_row: Callable[[int], None] | None,
) -> int:
    number = size = 0
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        for number, row in enumerate(rows, start=1):
            line = json.dumps(row, ensure_ascii=False, default=_plain)
            size += len(line.encode(errors="replace")) + 1
            if size > MAX_FILE_BYTES:
                raise DataError(
                    f"{name.dataset_id} has more than {MAX_FILE_BYTES / 1e6:,.0f} MB of text.",
                    hint="Give a smaller configuration or split.",
                )
            file.write(f"{line}\n")
            if on_row:
                on_row(number)
    return number


def _plain(value: Any) -> str | None:
    return None if isinstance(value, bytes) else str(value)


def _file_name(name: HubName) -> str:
    return "--".join([*name.dataset_id.split("/"), name.config, name.split])


@contextmanager
def _translated(name: HubName) -> Iterator[None]:
    """What the hub's client raises, as one sentence."""
    import httpx
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        yield
    except DataError:
        raise
    except (GatedRepoError, DatasetNotFoundError) as error:
        if not isinstance(error, GatedRepoError) and "gated" not in str(error):
            raise _missing(name) from error
        raise DataError(
            f"{name.dataset_id} is open only to those who accepted its terms.",
            hint="Accept them on its page, set HF_TOKEN to a token of yours, and try again.",
        ) from error
    except RepositoryNotFoundError as error:
        raise _missing(name) from error
    except (HfHubHTTPError, httpx.HTTPError, ConnectionError, TimeoutError) as error:
        raise DataError("The hub cannot be reached or does not answer.", hint=_TRY_LATER) from error
    except (DatasetsError, ValueError, RuntimeError, ImportError) as error:
        raise DataError(
            f"{name.dataset_id} holds no table that can be read without running its code.",
            hint="Download its files and give the one you need.",
        ) from error


def _missing(name: HubName) -> DataError:
    return DataError(
        f"The hub has no dataset {name.dataset_id}, or it is private.",
        hint="Check the spelling; for a private one, set HF_TOKEN to a token of yours.",
    )

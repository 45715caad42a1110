"""Pickled weights of the hub, fetched and converted to safetensors once.

Each file is fetched into the workspace, read by a process of its own (`unpickling`) and deleted
again, so that neither the hub's cache nor this process ever has a pickle. What comes of it lies in
`models/.converted/MODEL-COMMIT/`, which appears in one step. Which models may be converted is for
`pickled` to say.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from medqlora.errors import DiskFullError, MedQLoRAError, ModelError, OutOfMemoryError
from medqlora.models import hub, unpickling
from medqlora.persistence.atomic import sync_folder, translated_os_errors, write_json
from medqlora.persistence.workspace import slug

CONVERTED: Final = ".converted"
"""Folder beside the models in which converted weights lie."""

ONE_FILE: Final = "pytorch_model.bin"
INDEX: Final = "pytorch_model.bin.index.json"

_LOCK, _STAGING = ".lock", ".converting-"
_SECONDS, _BYTES_PER_SECOND = 300.0, 5_000_000
_GIB = 2**30

_KEPT_VARIABLES: Final = (
    "PATH",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "LANG",
    "OMP_NUM_THREADS",
    "MEDQLORA_JOB",  # by which the processes of a job that died are found
)
"""All that the converting process knows of this one's environment; no token is among them."""

Progress = Callable[[str, float], None]


def folder_of(models_dir: Path, model_name: str, revision: str) -> Path:
    """Where the converted weights of a model lie, or will lie."""
    return models_dir / CONVERTED / f"{slug(model_name, 'model')}-{revision}"


def is_converted(models_dir: Path, model_name: str, revision: str) -> bool:
    """Whether they are there; the folder appears in one step, so they are whole."""
    return bool(revision) and folder_of(models_dir, model_name, revision).is_dir()


def convert(
    model_name: str,
    revision: str,
    files: Mapping[str, int],
    *,
    described: Path,
    models_dir: Path,
    on_progress: Progress,
) -> Path:
    """Converts the weights of a model unless they are there, and returns their folder.

    Args:
        model_name: The model.
        revision: Its commit.
        files: Its pickled files and their sizes in bytes.
        described: Folder with its index, where it has several files.
        models_dir: Where unpacked models lie.
        on_progress: Told what is being done and how far it is, 0 to 1.

    Raises:
        ModelError: A file cannot be fetched, or is something else than plain weights. In the second
            case nothing is left of it.
        OutOfMemoryError: Memory ran out.
        DiskFullError: There is no space for them.
    """
    target = folder_of(models_dir, model_name, revision)
    if target.is_dir():
        return target
    expected = _indexed(described, model_name, files)
    with translated_os_errors(models_dir), _alone(target) as staging:
        if target.is_dir():
            return target  # another process was first
        _require_room(files, staging)
        parts = []
        for place, file in enumerate(files):
            on_progress(f"Fetching and converting {file} of {model_name}", place / len(files))
            parts.append(_part(model_name, revision, file, staging))
        with _left_clean(staging):
            _join(parts, staging / "whole", model_name, expected)
            (staging / "whole").rename(target)
        shutil.rmtree(staging, ignore_errors=True)
        sync_folder(target.parent)
    return target


@contextmanager
def _alone(target: Path) -> Iterator[Path]:
    """The folder to work in, while no other process converts; what others left is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.parent / f"{_STAGING}{target.name}"
    with (target.parent / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in target.parent.glob(f"{_STAGING}*"):  # by a process that was killed
            if left != staging:
                shutil.rmtree(left, ignore_errors=True)
        yield staging


@contextmanager
def _left_clean(staging: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _indexed(described: Path, model_name: str, files: Mapping[str, int]) -> set[str] | None:
    """The names of all weights, where several files hold them.

    Raises:
        ModelError: The index is damaged or names other files than the model has.
    """
    if list(files) == [ONE_FILE]:
        return None
    try:
        about = json.loads((described / INDEX).read_text(encoding="utf-8"))
        weight_map = {str(name): str(file) for name, file in about["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refusal(model_name, f"the list of its weights ({INDEX}) is damaged") from error
    if set(weight_map.values()) != set(files):
        raise _refusal(
            model_name, f"the list of its weights ({INDEX}) names other files than there are"
        )
    return set(weight_map)


def _require_room(files: Mapping[str, int], staging: Path) -> None:
    """Refuses a disk that cannot hold the converted weights and a file to convert."""
    needed = sum(files.values()) + max(files.values())
    there = sum(one.stat().st_size for one in staging.rglob("*") if one.is_file())
    free = shutil.disk_usage(staging.parent).free + there
    if free < needed:
        raise DiskFullError(
            f"Fetching and converting the weights takes {needed / _GIB:.1f} GiB, and "
            f"{free / _GIB:.1f} GiB are free.",
            hint="Free some space, or choose another folder with --workspace DIR.",
        )


def _part(model_name: str, revision: str, file: str, staging: Path) -> Path:
    """The folder with what became of one file; one that is there is whole."""
    part = staging / Path(file).stem
    if part.is_dir():
        return part
    try:
        # A download that is interrupted goes on next time, so that what came of it stays.
        pickle = hub.fetch_file(model_name, file, revision, staging / "fetched")
    except DiskFullError:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    with _left_clean(staging):
        partial = staging / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        _convert(pickle, partial, f"{file} of {model_name}")
        partial.rename(part)
        pickle.unlink()
    return part


def _convert(pickle: Path, folder: Path, what: str) -> None:
    """Has a process of its own read `pickle` and write safetensors into `folder`."""
    seconds = _SECONDS + pickle.stat().st_size / _BYTES_PER_SECOND
    root = str(Path(__file__).resolve().parents[2])
    known = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    known["PYTHONPATH"] = os.pathsep.join(filter(None, (root, known.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory(prefix="medqlora-") as home:
        try:
            code = subprocess.run(
                [sys.executable, "-m", unpickling.__name__, str(pickle.resolve()), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # a traceback would quote the file
                env={**known, "HOME": home, "TMPDIR": home, "HF_HUB_OFFLINE": "1"},
                cwd=home,
                timeout=seconds,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise _refusal(what, f"it could not be read in {seconds / 60:.0f} minutes") from error
    if code != unpickling.DONE:
        raise _failure(code, what)


def _failure(code: int, what: str) -> MedQLoRAError:
    """What to say of a process that ended with `code`."""
    if code == unpickling.UNSAFE:
        return _refusal(
            what, "it holds more than weights, which could run code; it was not run but deleted"
        )
    if code == unpickling.DISK_FULL:
        return DiskFullError(
            f"The disk was full while {what} was converted.",
            hint="Free some space, or choose another folder with --workspace DIR.",
        )
    if code in (unpickling.OUT_OF_MEMORY, -9):  # the system's own way to end what takes too much
        return OutOfMemoryError(
            f"Memory (RAM) ran out while {what} was converted.",
            hint="Close other programs, chats and notebooks, then try again.",
        )
    if code == unpickling.NOT_CONFINED:
        return _refusal(what, "this system offers no way to read it safely")
    return _refusal(what, "it is damaged, or is not a file of plain weights")


def _join(parts: Sequence[Path], folder: Path, model_name: str, expected: set[str] | None) -> None:
    """Moves the pieces of all parts into one folder, with an index as transformers reads it."""
    from safetensors import safe_open

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    pieces = [piece for part in parts for piece in sorted(part.glob("*.safetensors"))]
    weight_map: dict[str, str] = {}
    total_size = 0
    for number, piece in enumerate(pieces, start=1):
        file = f"model-{number:05}-of-{len(pieces):05}.safetensors"
        with safe_open(piece, framework="np") as opened:
            names = set(opened.keys())
        if names & weight_map.keys():
            raise _refusal(model_name, "two of its files hold a weight of the same name")
        weight_map |= dict.fromkeys(sorted(names), file)
        total_size += piece.stat().st_size
        piece.rename(folder / file)
    if expected is not None and expected != weight_map.keys():
        raise _refusal(model_name, f"its files hold other weights than the list ({INDEX}) says")
    write_json(
        folder / hub.INDEX, {"metadata": {"total_size": total_size}, "weight_map": weight_map}
    )


def _refusal(what: str, why: str) -> ModelError:
    return ModelError(
        f"{what} was not converted to safetensors: {why}.",
        hint="Choose a copy of the model in safetensors, or another model.",
    )

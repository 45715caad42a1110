"""One pickled file of weights becomes safetensors: `python -m medqlora.models.unpickling FILE DIR`.

`conversion` starts it, as a process of its own that knows no secret. The only place where something
is unpickled that this app did not write: by torch, as plain weights (`weights_only`), after a look
at what the pickle names, and once the process has given up what it could do harm with. Its exit
code is all that it says.
"""

from __future__ import annotations

import os
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from medqlora.models.confinement import ConfinementError, confine

if TYPE_CHECKING:
    import torch

DONE, UNSAFE, NOT_WEIGHTS, DISK_FULL, OUT_OF_MEMORY, NOT_CONFINED = 0, 10, 11, 12, 13, 14
"""Exit codes; any other one means that the file is damaged."""

PIECE_BYTES: Final = 2**30
"""Size of the files that are written, unless a single weight is larger: memory holds one of them,
and so does merging an adapter later."""

_MAX_PICKLE_BYTES: Final = 2**26
_MAX_FILES_INSIDE: Final = 100_000
_MEMORY_FOR_WORK: Final = 2**31
_NAME: Final = re.compile(r"[\w.-]{1,256}")
_NO_SPACE: Final = re.compile(r"os error (28|27|122)\b")


def main(arguments: list[str]) -> int:
    """Converts the file and returns an exit code."""
    source, folder = Path(arguments[0]), Path(arguments[1])
    import torch  # before the process may open nothing more than files
    from safetensors import SafetensorError

    try:
        # The file is mapped once, and its weights are copied a piece at a time.
        confine(writable=folder, more_memory_bytes=2 * source.stat().st_size + _MEMORY_FOR_WORK)
    except ConfinementError:
        return NOT_CONFINED
    if not _is_plain(source):
        return NOT_WEIGHTS
    if torch.serialization.get_unsafe_globals_in_checkpoint(source):
        return UNSAFE
    try:
        weights = torch.load(source, map_location="cpu", weights_only=True, mmap=True)
        if not _are_weights(weights, most_bytes=2 * source.stat().st_size):
            return NOT_WEIGHTS
        for number, piece in enumerate(_pieces(weights)):
            _write(piece, folder / f"{number:05}.safetensors")
    except SafetensorError as error:
        return DISK_FULL if _NO_SPACE.search(str(error)) else NOT_WEIGHTS
    except MemoryError:
        return OUT_OF_MEMORY
    except RuntimeError as error:
        return OUT_OF_MEMORY if "can't allocate memory" in str(error) else NOT_WEIGHTS
    return DONE


def _is_plain(source: Path) -> bool:
    """Whether the file is what torch has written since 2020: nothing in it packed, or too long."""
    if not zipfile.is_zipfile(source):
        return False
    with zipfile.ZipFile(source) as archive:
        inside = archive.infolist()
    pickles = [one.file_size for one in inside if one.filename.endswith("/data.pkl")]
    return (
        len(inside) <= _MAX_FILES_INSIDE
        and len(pickles) == 1
        and pickles[0] <= _MAX_PICKLE_BYTES
        and all(one.compress_type == zipfile.ZIP_STORED for one in inside)
        and sum(one.file_size for one in inside) <= source.stat().st_size
    )


def _are_weights(found: Any, *, most_bytes: int) -> bool:
    """Whether it is names with plain tensors, not larger than the file they come from.

    A tensor may show the same bytes again and again, so that a small file would fill a disk; tied
    weights do so once.
    """
    import torch

    return (
        isinstance(found, dict)
        and bool(found)
        and all(isinstance(name, str) and _NAME.fullmatch(name) for name in found)
        and all(
            isinstance(one, torch.Tensor)
            and one.layout == torch.strided
            and one.device.type == "cpu"
            and not one.is_quantized
            for one in found.values()
        )
        and sum(one.numel() * one.element_size() for one in found.values()) <= most_bytes
    )


def _pieces(weights: Mapping[str, torch.Tensor]) -> Iterator[dict[str, torch.Tensor]]:
    """The weights in their order, as many at a time as a file holds."""
    piece: dict[str, torch.Tensor] = {}
    size = 0
    for name, weight in weights.items():
        num_bytes = weight.numel() * weight.element_size()
        if piece and size + num_bytes > PIECE_BYTES:
            yield piece
            piece, size = {}, 0
        piece[name] = weight
        size += num_bytes
    yield piece


def _write(piece: Mapping[str, torch.Tensor], file: Path) -> None:
    import torch
    from safetensors.torch import save_file

    # Copied: safetensors takes no two weights of the same memory, and none that is a view.
    own = {
        name: weight.detach().clone(memory_format=torch.contiguous_format)
        for name, weight in piece.items()
    }
    save_file(own, file, metadata={"format": "pt"})
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

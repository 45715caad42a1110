"""pip as a subprocess, its output turned into one line of plain words.

`InstallProgress` says where an installation stands, `run_pip` runs one pip command and keeps its
output. What a failure means is left to `pip_failures`, what gets installed and where to
`dependencies`. Standard library only.
"""

from __future__ import annotations

import contextlib
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO, TextIO

from medqlora.colab.requirements import normalised

# How a command begins in the log, for `pip_failures`.
COMMAND_MARK = "\n$ pip "
TICK_SECONDS = 0.5
# Where the output is not a terminal (a notebook without one, a CI log) a line cannot be rewritten:
# say less, less often.
HEARTBEAT_SECONDS = 15.0
STOP_GRACE_SECONDS = 5.0

_NAME = r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*?)"
_FILE = rf"(?:\S*/)?{_NAME}-(?P<version>\d[^-\s]*)\S*\.(?:whl|tar\.gz)"
# What a line of pip's output means, in words for somebody who does not know pip. The first match
# counts.
_MEANINGS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"\s*Downloading {_FILE}\.metadata"), "looking up {name}"),
    (
        re.compile(rf"\s*Downloading {_FILE} \((?P<size>[^)]+)\)"),
        "downloading {name} {version}, {size}",
    ),
    (
        re.compile(rf"\s*(?:Using cached|Processing) {_FILE}"),
        "found {name} {version} on this machine",
    ),
    (re.compile(rf"Collecting {_NAME}(?:[\[<>=!~; ].*)?$"), "looking up {name}"),
    (re.compile(rf"\s*Building wheel for {_NAME} "), "building {name}"),
    (re.compile(rf"\s*Attempting uninstall: {_NAME}$"), "replacing {name}"),
    (re.compile(r"\s*WARNING: Retrying"), "no answer from the package server, trying again"),
)
_INSTALLING = re.compile(r"Installing collected packages: (?P<names>.+)")


class InstallProgress:
    """One line that says what is being installed and for how long, rewritten in a terminal.

    Args:
        output: Where the line goes.
        names: The packages to install, normalised; they are counted.
        site: The folder that pip installs into; what appears there is counted while pip is silent.
    """

    def __init__(self, output: TextIO, *, names: Collection[str], site: Path) -> None:
        self._output = output
        self._names = names
        self._site = site
        self._seen: set[str] = set()
        self._unpacking: frozenset[str] = frozenset()
        self._words = "starting"
        self._started = time.monotonic()
        self._shown = ""
        self._shown_stage = (-1, False)
        self._shown_at = self._started

    def line(self, text: str) -> None:
        """Takes one line of pip's output."""
        if installing := _INSTALLING.match(text):
            self._unpacking = frozenset(map(normalised, installing["names"].split(", ")))
        for pattern, words in _MEANINGS:
            if match := pattern.match(text):
                self._words = words.format(**match.groupdict())
                self._seen.add(normalised(match.groupdict().get("name", "")))
                break
        self.tick()

    def tick(self) -> None:
        """Shows where things stand; cheap, called twice a second."""
        now = time.monotonic()
        minutes, seconds = divmod(int(now - self._started), 60)
        text = f"  {minutes}:{seconds:02d}  {self.words()}"
        if self._output.isatty():
            self._rewrite(text)
        elif self._stage() != self._shown_stage or now - self._shown_at > HEARTBEAT_SECONDS:
            self._shown_stage, self._shown_at = self._stage(), now
            print(text, file=self._output, flush=True)

    def words(self) -> str:
        """What is going on, without the time."""
        if self._unpacking:
            return f"unpacking: {self._num_unpacked()} of {len(self._unpacking)} packages"
        position, _ = self._stage()
        return f"package {max(position, 1)} of {len(self._names)}: {self._words}"

    def next_step(self) -> None:
        """Another pip command begins."""
        self._unpacking = frozenset()

    def close(self) -> None:
        """Leaves the line, so that what comes next starts on its own."""
        if self._output.isatty():
            self._rewrite("")
            self._output.write("\r")
            self._output.flush()

    def _stage(self) -> tuple[int, bool]:
        """How many of the packages pip has come to, and whether it is unpacking."""
        return len(self._seen.intersection(self._names)), bool(self._unpacking)

    def _rewrite(self, text: str) -> None:
        if text == self._shown:
            return
        # Spaces instead of a terminal's erase code: a notebook shows such codes as text.
        width = shutil.get_terminal_size().columns - 1
        self._output.write("\r" + text[:width].ljust(min(len(self._shown), width)))
        self._output.flush()
        self._shown = text

    def _num_unpacked(self) -> int:
        found = (
            path.parent.name.split("-")[0] for path in self._site.glob("*.dist-info/INSTALLER")
        )
        return len(self._unpacking.intersection(map(normalised, found)))


def run_pip(
    arguments: Sequence[str], *, progress: InstallProgress, log: TextIO, lock: int | None = None
) -> int:
    """Runs `python -m pip ARGUMENTS` in the running environment.

    Every line goes to `log` and to `progress`. When we are interrupted, pip is ended too: two of
    them at work in one folder would undo each other.

    Args:
        arguments: What follows `pip`.
        progress: What shows where pip stands.
        log: Where its whole output goes.
        lock: A file descriptor that pip holds open as well, so that a lock on it outlives us if we
            are killed.

    Returns:
        pip's exit code.
    """
    progress.next_step()
    log.write(f"{COMMAND_MARK}{' '.join(arguments)}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "pip", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=() if lock is None else (lock,),
    )
    try:
        _follow(process, progress=progress, log=log)
        return process.wait()
    finally:
        _end(process)


def _follow(process: subprocess.Popen[str], *, progress: InstallProgress, log: TextIO) -> None:
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None  # it was asked for
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=TICK_SECONDS)
        except queue.Empty:
            progress.tick()
            continue
        if line is None:
            return
        log.write(line)
        log.flush()
        progress.line(line.rstrip())


def _read(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_GRACE_SECONDS)
        process.kill()
        process.wait()

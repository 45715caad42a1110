"""What pip's last words mean: its failures as a sentence and a way out.

Running pip is `pip_process`' business. Standard library only.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medqlora.colab.pip_process import COMMAND_MARK
from medqlora.errors import DependencyError


@dataclass(frozen=True)
class _Failure:
    pattern: re.Pattern[str]
    message: str
    hint: str


def _known(pattern: str, message: str, hint: str) -> _Failure:
    return _Failure(re.compile(pattern, re.IGNORECASE), message, hint)


# pip's words for what went wrong, ours for the user. The first that matches counts.
_FAILURES = (
    _known(
        r"No space left on device|Errno 28|Disk quota exceeded",
        "The disk is full: the packages could not be unpacked.",
        "Free some space and start again; what is already there is kept.",
    ),
    _known(
        r"Permission denied|Errno 13|Read-only file system|Errno 30",
        "Packages cannot be written into this Python's folder: permission denied.",
        "Make an environment of your own with `python3 -m venv`, and start with its python.",
    ),
    _known(
        r"CERTIFICATE_VERIFY_FAILED|SSLError|certificate verify failed",
        "The package server's certificate is not trusted, as happens behind a hospital's proxy.",
        "Ask your IT department for its certificate file and start with PIP_CERT=FILE set.",
    ),
    _known(
        r"ProxyError|Tunnel connection failed|407 Proxy",
        "The network's proxy refused the connection to the package server.",
        "Ask your IT department for the proxy's address and start with HTTPS_PROXY set.",
    ),
    _known(
        r"NewConnectionError|Failed to establish|name resolution|unreachable|timed out|ReadTimeout"
        r"|ConnectTimeout|Connection (?:refused|reset|broken|aborted)",
        "The packages could not be fetched: no package server answered.",
        "Check the internet connection and start again; what was already fetched is kept.",
    ),
    _known(
        r"DO NOT MATCH THE HASHES|BadZipFile|is not a valid wheel",
        "A downloaded package is damaged.",
        "Start again; if it happens twice, run `python3 -m pip cache purge` first.",
    ),
    _known(
        r"No matching distribution found for (?P<name>\S+)",
        "The package server does not offer {name} for this Python and this machine.",
        "Use Python 3.11, 3.12 or 3.13 on 64-bit Linux, and a package server that has all of PyPI.",
    ),
    _known(
        r"ResolutionImpossible|conflicting dependencies",
        "The packages that are already here do not fit together with those that are needed.",
        "Make a new environment with `python3 -m venv`, and start with its python.",
    ),
)


def failure(returncode: int, *, log: Path) -> DependencyError:
    """What a failed pip command means, read from the log that `run_pip` wrote.

    Args:
        returncode: pip's exit code; negative for a signal.
        log: The file with pip's full output.
    """
    if returncode == -signal.SIGKILL:
        return DependencyError(
            "The installation was ended by the system, most likely because memory ran out.",
            hint="Close other programs and start again; what was already fetched is kept.",
        )
    telling = _telling(log.read_text(encoding="utf-8", errors="replace"))
    for known in _FAILURES:
        match = next(filter(None, map(known.pattern.search, telling)), None)
        if match:
            message = known.message.format(**match.groupdict())
            return DependencyError(message, hint=f"{known.hint} Full log: {log}")
    return DependencyError(
        f"A package could not be installed: {_last_useful(telling)}",
        hint=f"Start again; if it stays so, show the full log to whoever keeps this machine: {log}",
    )


def _telling(log: str) -> list[str]:
    """The lines of the last command from its first error on, after the trouble that led to it.

    A connection that failed and then worked is no trouble; one after which nothing was found is.
    """
    lines = log.rpartition(COMMAND_MARK)[2].splitlines()[1:]  # without the command
    first = next((i for i, line in enumerate(lines) if line.lower().startswith("error")), 0)
    if any("No matching distribution" in line for line in lines):
        return [line for line in lines[:first] if "Retrying" in line] + lines[first:]
    return lines[first:]


def _last_useful(lines: Sequence[str]) -> str:
    said = [line.strip() for line in lines if line.strip()]
    errors = [line for line in said if re.match(r"error(?!: Exception:$)", line, re.IGNORECASE)]
    return (errors or said or ["pip said nothing"])[-1][:300]

"""Start medqlora: `python app.py`, on a machine where nothing is installed yet but Python.

Installs what is missing, then serves the page. The page itself is `ui.launch`'s business,
installing is that of `medqlora.colab.dependencies`. Until the version of Python is known this file
runs on old ones too, so it keeps to what Python 3.8 understands and imports nothing of ours at the
top.
"""

from __future__ import annotations

import argparse
import errno
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

OLDEST_PYTHON = (3, 11)
PROJECT = Path(__file__).resolve().parent
DEFAULT_PORT = 7860
DEFAULT_UPLOAD_MB = 2000  # as much as is read row by row
# Why a port cannot be listened on, by the number of the system's error: what to say, and the way
# out.
_PORT_TROUBLE = {
    errno.EADDRINUSE: (
        "Port {port} is in use by another program, or medqlora is already running.",
        "Open http://{host}:{port} to see, or choose another port: python app.py --port {other}",
    ),
    errno.EACCES: (
        "Port {port} may be used by the system's administrator only.",
        "Choose one above 1023: python app.py --port 7860",
    ),
}
_OTHER_PORT_TROUBLE = (
    "This machine cannot listen on the address {host}.",
    "Use --host 127.0.0.1 for this machine only, or --host 0.0.0.0 for everybody who can reach it.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the command line and serves; returns the exit code, 2 for what the user can mend."""
    return guarded(lambda: serve_page(parse(arguments)))


def guarded(work: Callable[[], None]) -> int:
    """Runs the program's work; an error of ours becomes two lines, its message and the way out."""
    refusal = refusal_of_python(sys.version_info[:2])
    if refusal:
        print(refusal, file=sys.stderr)
        return 2
    from medqlora.errors import MedQLoRAError

    try:
        work()
    except MedQLoRAError as error:
        print(f"{error.message}\n{error.hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Start again whenever you like; what is done is kept.", file=sys.stderr)
        return 130
    return 0


def refusal_of_python(version: Sequence[int]) -> str:
    """What to tell the user of a Python that cannot even read our modules; empty if it can."""
    if tuple(version) >= OLDEST_PYTHON:
        return ""
    return (
        f"medqlora needs Python 3.11, 3.12 or 3.13, and this is Python {version[0]}.{version[1]}.\n"
        "Start it with one of those, for example: python3.12 app.py"
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="Fine-tune a language model on your own medical questions and answers.",
    )
    add = parser.add_argument
    add("--port", type=_port, default=DEFAULT_PORT, help="port of the page (default: %(default)s)")
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    add(
        "--workspace",
        type=Path,
        default=Path("~/medqlora-workspace"),
        metavar="DIR",
        help="folder for runs, adapters and prepared data (default: %(default)s)",
    )
    add(
        "--mirror",
        metavar="PLACE",
        help="keep copies of runs and datasets in a folder (such as one on Google Drive) or at a "
        "URL such as s3://bucket/folder; 'off' ends it; as the last time by default",
    )
    add("--share", action="store_true", help="make a public link through Gradio's servers")
    add(
        "--max-upload-mb",
        type=_megabytes,
        default=DEFAULT_UPLOAD_MB,
        metavar="MB",
        help="largest file that the page takes (default: %(default)s)",
    )
    add("--no-install", action="store_true", help="install nothing; refuse if a package is missing")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, got {text!r}")
    return int(text)


def _megabytes(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a size is a whole number of megabytes, got {text!r}")
    return int(text)


def serve_page(options: argparse.Namespace) -> None:
    """Checks the port, sees to the packages, and serves until stopped.

    Raises:
        MedQLoRAError: The port, the packages or the workspace cannot be used.
    """
    from medqlora.colab.dependencies import DependencyInstaller
    from medqlora.errors import DependencyError

    check_port(options.host, options.port)
    DependencyInstaller(PROJECT).ensure(install=not options.no_install)
    try:
        from ui.launch import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"ui", "medqlora"}:
            raise  # a mistake of ours, not of the installation
        raise DependencyError(
            f"The Python package {error.name} is missing.",
            hint="Start once without --no-install; if it stays so, delete the folder .venv first.",
        ) from error
    serve(
        host=options.host,
        port=options.port,
        workspace=options.workspace.expanduser(),
        share=options.share,
        max_upload_mb=options.max_upload_mb,
        mirror=options.mirror,
    )


def check_port(host: str, port: int) -> None:
    """Refuses a port that cannot be listened on, before anything slow happens.

    Raises:
        SessionError: Something else listens there, or the address or port is not ours to use.
    """
    from medqlora.errors import SessionError

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the server will do: a port that was in use a moment ago is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        message, hint = _PORT_TROUBLE.get(error.errno or 0, _OTHER_PORT_TROUBLE)
        words = {"host": host, "port": port, "other": port + 1 if port < 65535 else DEFAULT_PORT}
        raise SessionError(message.format(**words), hint=hint.format(**words)) from error


if __name__ == "__main__":
    sys.exit(main())

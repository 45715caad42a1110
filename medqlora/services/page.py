"""The page as a process of its own, started and stopped from a notebook cell.

Its own process, because what the kernel has imported does not matter then, and because interrupting
a cell must not end the page. Who it is stands in `page.json` of the workspace, so that a kernel
that was restarted can still stop it. What the page shows is `ui`'s, how it is shown inside the
notebook is `colab.notebook`'s.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from medqlora.errors import SessionError
from medqlora.persistence.atomic import translated_os_errors, write_json
from medqlora.runs.process import PROJECT_ROOT, identity_of, recorded_process

READY = "medqlora is ready: "
"""What the page prints once it is served; see `ui.launch`."""
START_SECONDS = 300.0
STOP_SECONDS = 15.0


def start_page(workspace: Path, *, port: int, share_link: bool) -> None:
    """Starts the page, prints what it says, and returns once it answers.

    A page that an earlier cell started on this workspace is stopped first: running the cell again
    is how its settings are changed. Jobs are processes of their own and go on.

    Args:
        workspace: Folder of runs, adapters and prepared data.
        port: Port to listen on, on this machine alone.
        share_link: Whether to also make a public link.

    Raises:
        SessionError: It ended, or did not answer in time; what it said has been printed.
        StorageUnavailableError: The workspace cannot be written.
    """
    with translated_os_errors(workspace):
        workspace.mkdir(parents=True, exist_ok=True)
    stop_page(workspace)
    process = subprocess.Popen(
        page_command(workspace, port=port, share_link=share_link),
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    write_json(_record(workspace), {**identity_of(process.pid), "port": port})
    is_ready = threading.Event()
    reader = threading.Thread(
        target=_print_output, args=(process, is_ready), name="medqlora-page", daemon=True
    )
    reader.start()
    try:
        _wait_until_served(process, is_ready, port=port)
    except BaseException:
        stop_page(workspace)
        reader.join(STOP_SECONDS)
        raise


def page_command(workspace: Path, *, port: int, share_link: bool) -> list[str]:
    """The command that serves the page, with this Python."""
    share = ["--share"] if share_link else []
    place = ["--workspace", str(workspace), "--port", str(port)]
    return [sys.executable, str(PROJECT_ROOT / "app.py"), *place, *share]


def stop_page(workspace: Path) -> bool:
    """Ends the page that a cell started on this workspace; False when there is none."""
    process = recorded_process(_record(workspace))
    if process is None:
        return False
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait()
    return True


def answers(port: int) -> bool:
    """Whether something serves a page at this port of this machine."""
    # Without a proxy: this machine is asked, whatever the environment says about the network.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/", timeout=10) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _print_output(process: subprocess.Popen[str], is_ready: threading.Event) -> None:
    assert process.stdout is not None, "it was opened with a pipe"
    with process.stdout as lines:
        for line in lines:
            print(line, end="", flush=True)
            if line.startswith(READY):
                is_ready.set()
    process.wait()


def _wait_until_served(
    process: subprocess.Popen[str], is_ready: threading.Event, *, port: int
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not (is_ready.wait(0.2) and answers(port)):
        if process.poll() is not None:
            raise SessionError(
                "The page ended before it could be opened.",
                hint="Its last lines in this cell say why; mend that and run the cell again.",
            )
        if time.monotonic() > deadline:
            raise SessionError(
                f"The page did not answer within {START_SECONDS / 60:.0f} minutes.",
                hint="Run the cell again, or use the cells below, which need no page.",
            )


def _record(workspace: Path) -> Path:
    return workspace / "page.json"

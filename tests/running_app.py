"""The real app as a process, for tests that ask it over HTTP or look at it in a browser."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
START_SECONDS = 90.0


@dataclass
class App:
    """The app as a process, which a test may restart."""

    workspace: Path
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = None

    @property
    def log(self) -> Path:
        """What the server printed."""
        return self.workspace.parent / "server.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        command = [sys.executable, str(ROOT / "app.py"), "--no-install", "--port", str(self.port)]
        place = ["--workspace", str(self.workspace)]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*command, *place, *self.options], stdout=log, stderr=log, text=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.2)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ends the server and returns its exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(timeout=60)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""On a worker's path in tests: signals make its main thread do as broken machines do."""

from __future__ import annotations

import signal
import subprocess
import time

COMPUTING_SECONDS = 12.0


def spin_for_ever(*_: object) -> None:
    """What a GPU that answers no more looks like from the processor."""
    while True:
        pass


def compute_for_long(*_: object) -> None:
    """What a first compilation looks like."""
    end = time.monotonic() + COMPUTING_SECONDS
    while time.monotonic() < end:
        pass


def start_a_child(*_: object) -> None:
    """A child that would outlive its parent, and hold the lease of the machine."""
    subprocess.Popen(["sleep", "600"], close_fds=False)


signal.signal(signal.SIGUSR1, spin_for_ever)
signal.signal(signal.SIGUSR2, compute_for_long)
signal.signal(signal.SIGHUP, start_a_child)

"""RamWatch tells whether RAM was short when a worker was killed.

The system's own count of processes that it ended for want of memory says so for certain; where it
cannot be read (some containers), what was free at the last looks does. What follows is for
`runs.retrying` to say.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import psutil

SHORT_SHARE = 0.05
"""Share of the RAM below which what is available counts as short."""

_VMSTAT = Path("/proc/vmstat")
_NUM_LOOKS = 5


class RamWatch:
    """Watches from its making on."""

    def __init__(self) -> None:
        self._kills_before = _num_kills()
        self._free_shares: deque[float] = deque(maxlen=_NUM_LOOKS)

    def look(self) -> None:
        """Notes how much is available; to be called a few times a second."""
        ram = psutil.virtual_memory()
        self._free_shares.append(ram.available / ram.total)

    def was_short(self) -> bool:
        """Whether the system ended a process for want of RAM, or hardly any was left just now."""
        return _num_kills() > self._kills_before or min(self._free_shares, default=1) < SHORT_SHARE


def _num_kills() -> int:
    """Processes that the kernel ended for want of memory, of the whole machine and any container.

    0 where it does not say.
    """
    try:
        counters = dict(line.split() for line in _VMSTAT.read_text(encoding="ascii").splitlines())
    except OSError:
        return 0
    return int(counters.get("oom_kill", 0))

"""GpuLease: one machine, one job, by a file lock that the worker holds until it ends.

Whoever starts a job takes the lease and hands its descriptor to the worker, so that there is no
moment in between at which another could take it. The operating system gives it back when the last
process that holds the descriptor is gone. The command line, a notebook cell and a second server see
the same lock. It does not queue.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from medqlora.errors import GpuBusyError
from medqlora.persistence.atomic import translated_os_errors


class GpuLease:
    """The right to use the machine; made by `acquire`.

    Attributes:
        descriptor: The open file whose lock this is.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def acquire(cls, lock_file: Path, *, holder: str) -> GpuLease:
        """Takes the lease for the job called `holder`.

        Raises:
            GpuBusyError: Another job has it; the message names it.
            StorageUnavailableError: The lock file cannot be written.
        """
        with translated_os_errors(lock_file.parent):
            descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise _busy(_read_holder(lock_file)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"holder": holder}).encode(), 0)
        return cls(descriptor)

    def close(self) -> None:
        """Lets go of this process's share.

        The lease ends when every process that has it is done.
        """
        # Closing, not unlocking: unlocking would also take it from the worker that inherited the
        # descriptor.
        os.close(self.descriptor)


def _read_holder(lock_file: Path) -> str:
    try:
        return str(json.loads(lock_file.read_text(encoding="utf-8"))["holder"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # read in the moment between locking and writing


def _busy(holder: str) -> GpuBusyError:
    what = holder or "another job"
    if holder.startswith("chat"):
        hint = "Wait until the answer is complete, then try again."
    else:
        hint = "Stop it on the Train or Evaluate tab, or wait until it is done."
    return GpuBusyError(f"The machine is busy with {what}.", hint=hint, holder=holder)
